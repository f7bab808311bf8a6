// The graph of a model as one HTML file: a drawing that scrolls, a list that filters, details of what is chosen. Nothing is
// loaded from anywhere.

import type { AttributeProto, GraphProto, ModelProto, TensorProto, ValueInfo } from "../../formats/onnx/model.ts";
import { layoutGraph, type Place } from "../../graph/layout.ts";

interface Box {
  readonly label: string;
  readonly detail: string;
  readonly kind: "input" | "output" | "node";
  /** Lines shown when it is chosen. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

const BOX_HEIGHT = 38;
const CHARACTER_WIDTH = 7.2;

/** A page showing the model's main graph. */
export function graphPage({ graph, opsets, producer }: ModelProto, title: string): string {
  const boxes = boxesOf(graph);
  const writers = new Map(boxes.flatMap(({ writes }, i) => writes.map((name): [string, number] => [name, i])));
  const edges = boxes.flatMap(({ reads }, to) =>
    [...new Set(reads)].flatMap((name): { ends: [number, number]; name: string }[] => {
      const from = writers.get(name);
      return from === undefined ? [] : [{ ends: [from, to], name }];
    }),
  );
  const widths = boxes.map(({ label, detail }) =>
    Math.max(80, 20 + CHARACTER_WIDTH * Math.max(label.length, detail.length)),
  );
  const drawing = layoutGraph(
    widths,
    edges.map(({ ends }) => ends),
  );
  const lines = edges.map(
    ({ name }, i) => `<path d="${pathOf(drawing.edges[i]!)}"><title>${escape(name)}</title></path>`,
  );
  const shapes = boxes.map(({ label, detail, kind }, i) => {
    const { x, y } = drawing.nodes[i]!;
    const width = widths[i]!;
    const lower = detail === "" ? "" : `<text class="detail" y="11">${escape(detail)}</text>`;
    return (
      `<g class="${kind}" data-i="${i}" tabindex="0" role="button" transform="translate(${round(x)} ${round(y)})">` +
      `<rect x="${round(-width / 2)}" y="${-BOX_HEIGHT / 2}" width="${round(width)}" height="${BOX_HEIGHT}" rx="6"/>` +
      `<text y="${detail === "" ? 4 : -3}">${escape(label)}</text>${lower}</g>`
    );
  });
  const versions = Object.entries(opsets).map(([domain, version]) => `${domain === "" ? "opset" : domain} ${version}`);
  const heading = [`${graph.nodes.length} nodes`, ...versions, ...(producer === "" ? [] : [producer])].join(", ");
  const data = JSON.stringify(boxes.map(({ label, facts }) => ({ label, facts }))).replaceAll("<", "\\u003c");
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escape(title)}</title>
<style>${STYLE}</style>
<header><h1>${escape(title)}</h1><p>${escape(heading)}</p><input type="search" placeholder="find an operator or a name" aria-label="Find"></header>
<main><svg width="${Math.ceil(drawing.width)}" height="${Math.ceil(drawing.height)}">
<g class="edges">${lines.join("\n")}</g>
${shapes.join("\n")}
</svg></main>
<aside aria-live="polite"><p>Choose a node.</p></aside>
<script type="application/json" id="data">${data}</script>
<script>${SCRIPT}</script>
</html>
`;
}

function boxesOf(graph: GraphProto): Box[] {
  const { initializers } = graph;
  const fed = graph.inputs.filter(({ name }) => !initializers.has(name));
  return [
    ...fed.map((info): Box => ({ ...endBox(info, "input"), reads: [], writes: [info.name] })),
    ...graph.nodes.map((node): Box => {
      const { operator, domain, name, inputs, outputs, attributes } = node;
      const parameter = inputs
        .map((input) => initializers.get(input))
        .find((tensor) => tensor && tensor.shape.length > 0);
      const tensor = (input: string): string => {
        const stored = initializers.get(input);
        return stored ? `${input}: ${tensorText(stored)}` : input;
      };
      return {
        label: domain === "" ? operator : `${domain}::${operator}`,
        detail: parameter ? `[${parameter.shape.join(", ")}]` : "",
        kind: "node",
        facts: [
          ["name", name],
          ...inputs.map((input, i) => [`input ${i}`, tensor(input)] as const),
          ...outputs.map((output, i) => [`output ${i}`, output] as const),
          ...[...attributes].map(([key, attribute]) => [key, attributeText(attribute)] as const),
        ],
        // A subgraph reads names of the graph around it; those are edges, too.
        reads: [...inputs, ...[...attributes.values()].flatMap(namesIn)],
        writes: outputs.filter((output) => output !== ""),
      };
    }),
    ...graph.outputs.map((info): Box => ({ ...endBox(info, "output"), reads: [info.name], writes: [] })),
  ];
}

function endBox({ name, dtype, shape }: ValueInfo, kind: "input" | "output"): Omit<Box, "reads" | "writes"> {
  const type = `${dtype}${shape ? ` [${shape.map((extent) => (extent === "" ? "?" : extent)).join(", ")}]` : ""}`;
  return {
    label: name,
    detail: type,
    kind,
    facts: [
      [kind, name],
      ["type", type],
    ],
  };
}

function namesIn(attribute: AttributeProto): string[] {
  if (attribute.kind !== "graph") return [];
  return attribute.value.nodes.flatMap(({ inputs, attributes }) => [
    ...inputs,
    ...[...attributes.values()].flatMap(namesIn),
  ]);
}

const LONGEST_TEXT = 200;

function attributeText(attribute: AttributeProto): string {
  switch (attribute.kind) {
    case "tensor":
      return tensorText(attribute.value);
    case "graph":
      return `a graph of ${attribute.value.nodes.length} nodes`;
    case "floats":
    case "ints":
    case "strings":
      return `[${attribute.value.join(", ")}]`.slice(0, LONGEST_TEXT);
    case "float":
    case "int":
    case "string":
    case "reference":
    case "other":
      return String(attribute.value).slice(0, LONGEST_TEXT);
  }
}

const tensorText = ({ dtype, shape }: TensorProto): string => `${dtype} [${shape.join(", ")}]`;

/** A curve through the points, upright at each. */
function pathOf(points: readonly Place[]): string {
  const ends = points.map(({ x, y }, i) => {
    const half = BOX_HEIGHT / 2;
    return { x, y: i === 0 ? y + half : i === points.length - 1 ? y - half : y };
  });
  const [start, ...rest] = ends as [Place, ...Place[]];
  let [path, last] = [`M${round(start.x)} ${round(start.y)}`, start];
  for (const point of rest) {
    const middle = round((last.y + point.y) / 2);
    path += `C${round(last.x)} ${middle} ${round(point.x)} ${middle} ${round(point.x)} ${round(point.y)}`;
    last = point;
  }
  return path;
}

const round = (value: number): number => Math.round(value * 10) / 10;

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escape = (text: string): string => text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character]!);

const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --edge: #9aa4af; --node: #e8eef7; --end: #e4f3e6; --mark: #d97706; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --paper: #16191d; --edge: #5b6672; --node: #26313f; --end: #22382a; --mark: #f5a524; } }
* { box-sizing: border-box; }
body { margin: 0; height: 100vh; display: grid; grid: auto 1fr / 1fr minmax(220px, 22rem); font: 14px/1.4 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
header { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; padding: 10px 16px; border-bottom: 1px solid var(--edge); }
h1 { font-size: 16px; margin: 0; } header p { margin: 0; opacity: .75; } input { margin-left: auto; font: inherit; padding: 4px 8px; min-width: 16rem; }
main { overflow: auto; padding: 12px; } svg { display: block; margin: auto; }
aside { overflow: auto; padding: 12px 16px; border-left: 1px solid var(--edge); overflow-wrap: anywhere; }
dt { font-weight: 600; margin-top: 8px; } dd { margin: 0; font-family: ui-monospace, monospace; font-size: 12px; }
.edges path { fill: none; stroke: var(--edge); stroke-width: 1.3; } .edges path:hover { stroke: var(--mark); stroke-width: 2.5; }
rect { fill: var(--node); stroke: var(--edge); } .input rect, .output rect { fill: var(--end); }
g[role] { cursor: pointer; } g[role]:focus { outline: none; } g.chosen rect, g[role]:focus-visible rect { stroke: var(--mark); stroke-width: 2.5; }
text { text-anchor: middle; fill: var(--ink); font-size: 12px; } .detail { font-size: 11px; opacity: .75; }
svg.filtered g[role]:not(.found) { opacity: .25; }
@media (max-width: 700px) { body { grid: auto 1fr 35vh / 1fr; } aside { border-left: 0; border-top: 1px solid var(--edge); } input { margin-left: 0; } }
`;

const SCRIPT = `
const boxes = JSON.parse(document.getElementById("data").textContent);
const svg = document.querySelector("svg"), aside = document.querySelector("aside");
const groups = [...svg.querySelectorAll("g[role]")];
const show = (group) => {
  for (const other of groups) other.classList.toggle("chosen", other === group);
  const { label, facts } = boxes[group.dataset.i];
  const list = document.createElement("dl");
  for (const [name, value] of facts) {
    list.append(Object.assign(document.createElement("dt"), { textContent: name }));
    list.append(Object.assign(document.createElement("dd"), { textContent: value || "—" }));
  }
  aside.replaceChildren(Object.assign(document.createElement("h2"), { textContent: label }), list);
};
for (const group of groups) {
  group.addEventListener("click", () => show(group));
  group.addEventListener("focus", () => show(group));
}
document.querySelector("input").addEventListener("input", ({ target }) => {
  const wanted = target.value.trim().toLowerCase();
  svg.classList.toggle("filtered", wanted !== "");
  let first;
  for (const group of groups) {
    const { label, facts } = boxes[group.dataset.i];
    const found = wanted !== "" && [label, ...facts.map((fact) => fact[1])].some((text) => text.toLowerCase().includes(wanted));
    group.classList.toggle("found", found);
    if (found) first ??= group;
  }
  first?.scrollIntoView({ block: "center", inline: "center" });
});
groups[0]?.scrollIntoView({ block: "center", inline: "center" });
`;
