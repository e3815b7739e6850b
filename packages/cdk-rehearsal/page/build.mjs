// Builds the console's page: one script and one style sheet, without addresses of other hosts.
import { build } from "esbuild";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL(".", import.meta.url));
const outdir = process.argv[2] ?? `${folder}../src/cdk_rehearsal/console/static`;
// The library asks for its licence in each copy.
const { resolve } = createRequire(import.meta.url);
const licence = readFileSync(new URL("LICENSE", `file://${resolve("preact/package.json")}`), "utf8");
await build({
  entryPoints: [`${folder}console.jsx`, `${folder}console.css`],
  outdir,
  entryNames: "[name]",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  banner: { js: `/*! Preact\n\n${licence.trim()} */` },
});
