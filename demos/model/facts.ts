// What a model's file says, for the page: counts, inputs and outputs, and the graph as a drawing. Nothing is run.

import {
  isStoredDType,
  layoutGraph,
  storedSizeBytes,
  unsupportedOperators,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfo,
} from "neurite";
import { openExtents } from "./inputs.ts";
import type { Box, BoxKind, Declared, Drawing, ModelFacts } from "./protocol.ts";

const CHARACTER_WIDTH = 7.4;
const LONGEST_TEXT = 300;

/** What stands behind a box. */
export type BoxSource =
  | { readonly kind: "input" | "output"; readonly info: ValueInfo }
  | { readonly kind: "node"; readonly node: NodeProto; readonly label: string };

/** A model's graph with its weights told apart: initializers, and nodes that only hold a constant. */
export class Contents {
  readonly weights: ReadonlyMap<string, TensorProto>;
  readonly boxes: readonly BoxSource[];

  constructor(readonly proto: ModelProto) {
    const { graph } = proto;
    const weights = new Map(graph.initializers);
    const nodes = graph.nodes.filter((node) => {
      const held = heldBy(node);
      if (held) weights.set(node.outputs[0]!, held);
      return !held;
    });
    this.weights = weights;
    this.boxes = [
      ...this.fed.map((info) => ({ kind: "input" as const, info })),
      // How plans name what comes of a node.
      ...nodes.map((node) => ({ kind: "node" as const, node, label: node.name || (node.outputs[0] ?? node.operator) })),
      ...graph.outputs.map((info) => ({ kind: "output" as const, info })),
    ];
  }

  /** Inputs without a default in the file. */
  get fed(): readonly ValueInfo[] {
    const { inputs, initializers } = this.proto.graph;
    return inputs.filter(({ name }) => !initializers.has(name));
  }
}

export function modelFacts(contents: Contents, sizeBytes: number, known: Readonly<Record<string, string>>): ModelFacts {
  const { proto, weights } = contents;
  const { graph, opsets, producer } = proto;
  let [parameters, parameterBytes] = [0, 0];
  for (const { dtype, shape, bytes } of weights.values()) {
    const elements = shape.reduce((product, extent) => product * extent, 1);
    parameters += elements;
    parameterBytes += isStoredDType(dtype) ? elements * storedSizeBytes(dtype) : bytes.length;
  }
  const missing = new Set(unsupportedOperators(graph, proto, true).map(({ operator }) => operator));
  const operators = countOperators(graph).map(([name, count]) => ({ name, count, missing: missing.has(name) }));
  return {
    sizeBytes,
    nodes: graph.nodes.length,
    parameters,
    parameterBytes,
    producer,
    opsets: Object.entries(opsets)
      .map(([domain, version]) => `${domain || "ONNX"} ${version}`)
      .join(", "),
    inputs: contents.fed.map(declared),
    outputs: graph.outputs.map(declared),
    operators,
    extents: openExtents(contents.fed, known),
    drawing: drawing(contents),
  };
}

/** Subgraphs included; the most frequent first. */
function countOperators(graph: GraphProto): [string, number][] {
  const counts = new Map<string, number>();
  const visit = ({ nodes }: GraphProto): void => {
    for (const node of nodes) {
      counts.set(fullName(node), (counts.get(fullName(node)) ?? 0) + 1);
      for (const { kind, value } of node.attributes.values()) if (kind === "graph") visit(value);
    }
  };
  visit(graph);
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
}

export const fullName = ({ domain, operator }: NodeProto): string =>
  domain === "" ? operator : `${domain}::${operator}`;

export function typeOf({ dtype, shape }: Pick<ValueInfo, "dtype" | "shape">): string {
  return `${dtype} ${shape ? `[${shape.map((extent) => (extent === "" ? "?" : extent)).join(", ")}]` : "(any shape)"}`;
}

function declared({ name, dtype, shape }: ValueInfo): Declared {
  return { name, dtype, shape: typeOf({ dtype, shape }).slice(dtype.length + 1) };
}

/** The tensor of a Constant node that holds one. */
function heldBy({ operator, domain, attributes, outputs }: NodeProto): TensorProto | undefined {
  if (operator !== "Constant" || domain !== "" || !outputs[0]) return undefined;
  const held = attributes.get("value");
  return held?.kind === "tensor" ? held.value : undefined;
}

// ---- the drawing

const HEAVY =
  /^(Conv|ConvTranspose|Gemm|MatMul|LSTM|GRU|RNN|Attention|Einsum|QLinear|ConvInteger|MatMulInteger|DeformConv)/;
const MOVEMENT =
  /^(Reshape|Transpose|Concat|Split|Slice|Gather|Scatter|Squeeze|Unsqueeze|Flatten|Expand|Tile|Pad|Shape|Identity|Cast|Resize|Upsample|DepthToSpace|SpaceToDepth|Size|Constant|Range|NonZero)/;
const POINTWISE =
  /^(Add|Sub|Mul|Div|Pow|Sqrt|Exp|Log|Erf|Abs|Neg|Clip|Min|Max|Where|.*Relu|Sigmoid|HardSigmoid|HardSwish|Tanh|Elu|Selu|Celu|Gelu|Mish|Swish|Softplus|Softsign|Not|And|Or|Xor|Equal|Greater|Less|Floor|Ceil|Round|Reciprocal|Sign)/;

function kindOf({ operator }: NodeProto): BoxKind {
  if (HEAVY.test(operator)) return "heavy";
  if (MOVEMENT.test(operator)) return "movement";
  return POINTWISE.test(operator) ? "pointwise" : "other";
}

function drawing({ boxes, weights }: Contents): Drawing {
  const shown = boxes.map((source): Omit<Box, "x" | "y" | "width"> => {
    if (source.kind !== "node") {
      const { name } = source.info;
      return { label: clip(name, 28), name, kind: source.kind, detail: clip(typeOf(source.info), 40) };
    }
    const { node, label } = source;
    const held = node.inputs.map((name) => weights.get(name)).find((tensor) => tensor && tensor.shape.length > 1);
    return { label: fullName(node), name: label, kind: kindOf(node), detail: held ? held.shape.join(" × ") : "" };
  });
  const widths = shown.map(({ label, detail }) =>
    Math.max(84, 24 + CHARACTER_WIDTH * Math.max(label.length, 0.88 * detail.length)),
  );
  const writers = new Map(boxes.flatMap((box, i) => writes(box).map((name): [string, number] => [name, i])));
  const pairs = boxes.flatMap((box, to) => {
    const from = new Set(reads(box).map((name) => writers.get(name)));
    return [...from].filter((i) => i !== undefined && i !== to).map((i): [number, number] => [i!, to]);
  });
  const { nodes, edges, width, height } = layoutGraph(widths, pairs);
  return {
    boxes: shown.map((box, i) => ({ ...box, ...nodes[i]!, width: widths[i]! })),
    edges: edges.map((points, i) => ({
      from: pairs[i]![0],
      to: pairs[i]![1],
      points: points.flatMap(({ x, y }) => [x, y]),
    })),
    width,
    height,
  };
}

function writes(box: BoxSource): readonly string[] {
  if (box.kind === "node") return box.node.outputs.filter((name) => name !== "");
  return box.kind === "input" ? [box.info.name] : [];
}

/** A subgraph reads names of the graph around it; those count, too. */
function reads(box: BoxSource): readonly string[] {
  if (box.kind === "node") return [...box.node.inputs, ...[...box.node.attributes.values()].flatMap(namesIn)];
  return box.kind === "output" ? [box.info.name] : [];
}

function namesIn(attribute: AttributeProto): string[] {
  if (attribute.kind !== "graph") return [];
  return attribute.value.nodes.flatMap(({ inputs, attributes }) => [
    ...inputs,
    ...[...attributes.values()].flatMap(namesIn),
  ]);
}

export function attributeText(attribute: AttributeProto): string {
  switch (attribute.kind) {
    case "tensor":
      return `${attribute.value.dtype} [${attribute.value.shape.join(", ")}]`;
    case "graph":
      return `a graph of ${attribute.value.nodes.length} nodes`;
    case "floats":
    case "ints":
    case "strings":
      return clip(`[${attribute.value.join(", ")}]`, LONGEST_TEXT);
    case "float":
      return String(Number(attribute.value.toPrecision(7)));
    case "int":
    case "string":
    case "reference":
    case "other":
      return clip(String(attribute.value), LONGEST_TEXT);
  }
}

function clip(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
