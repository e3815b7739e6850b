// Runs bytecode.py, with the same arguments, in CPython as WebAssembly: so the bytecode fits the
// Lambda runtime whatever Python this machine has, and is the same on every machine.
import { readFileSync } from "node:fs";
import { loadPyodide } from "pyodide";

const [version, ...pairs] = process.argv.slice(2);
const script = new URL("bytecode.py", import.meta.url);
const python = await loadPyodide({ args: ["-"] });
const args = [script.pathname, version];
for (let index = 0; index < pairs.length; index += 2) {
  const tree = `/trees/${index / 2}`;
  python.FS.mkdirTree(tree);
  python.mountNodeFS(tree, pairs[index]);
  args.push(tree, pairs[index + 1]);
}
python.pyimport("sys").argv = python.toPy(args);
try {
  python.runPython(readFileSync(script, "utf8"), { filename: script.pathname });
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
