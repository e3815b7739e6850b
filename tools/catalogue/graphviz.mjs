// Lays out graphs with Graphviz, compiled to WebAssembly: graphs in, their layouts out.
import { text } from "node:stream/consumers";
import { instance } from "@viz-js/viz";

const viz = await instance();
const graphs = JSON.parse(await text(process.stdin));
process.stdout.write(JSON.stringify(graphs.map((graph) => viz.renderJSON(graph))));
