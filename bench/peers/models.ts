// The ONNX model of a workload, for ONNX Runtime: weights as initializers, activations as inputs, one output `y`.

import { encodeModel } from "../../src/formats/onnx/encode.ts";
import type { AttributeProto, NodeProto, TensorProto } from "../../src/formats/onnx/model.ts";
import { dataOf, workload, type Arrays, type ChainStep } from "./workloads.ts";

type Extents = readonly number[];
type Ports = Readonly<Record<string, Extents>>;

function tensor(name: string, shape: Extents, data: ArrayLike<number>): TensorProto {
  return { name, dtype: "float32", shape, bytes: new Uint8Array(Float32Array.from(data).buffer) };
}

function attribute(value: number | Extents): AttributeProto {
  if (typeof value !== "number") return { kind: "ints", value };
  return Number.isInteger(value) ? { kind: "int", value } : { kind: "float", value };
}

function node(
  operator: string,
  inputs: readonly string[],
  output: string,
  attributes: Readonly<Record<string, number | Extents>> = {},
): NodeProto {
  const outputs = operator === "LSTM" || operator === "GRU" ? ["", output] : [output];
  const entries = Object.entries(attributes).map(([name, value]) => [name, attribute(value)] as const);
  return { name: `${operator}_${output}`, operator, domain: "", inputs, outputs, attributes: new Map(entries) };
}

function model(inputs: Ports, y: Extents, nodes: readonly NodeProto[], initializers: readonly TensorProto[] = []) {
  const ports = (given: Ports) =>
    Object.entries(given).map(([name, shape]) => ({ name, dtype: "float32" as const, shape, kind: "tensor" }));
  return encodeModel({
    irVersion: 8,
    producer: "peer bench",
    opsets: { "": 17 },
    functions: [],
    metadata: {},
    graph: {
      name: "workload",
      nodes,
      initializers: new Map(initializers.map((one) => [one.name, one])),
      inputs: ports(inputs),
      outputs: ports({ y }),
    },
  });
}

/** [rows, G·H] → [G·H, rows], its gates in another order. */
function gates(w: Float32Array, rows: number, H: number, order: Extents): Float32Array {
  const width = order.length * H;
  const result = new Float32Array(width * rows);
  order.forEach((from, to) => {
    for (let j = 0; j < H; j++)
      for (let i = 0; i < rows; i++) result[(to * H + j) * rows + i] = w[i * width + from * H + j]!;
  });
  return result;
}

function recurrent(operator: "LSTM" | "GRU", p: Record<"T" | "B" | "I" | "H", number>, data: Arrays, order: Extents) {
  const { T, B, I, H } = p;
  const G = order.length;
  const bias = gates(data["b"]!, 1, H, order);
  return model(
    { x: [T, B, I] },
    [1, B, H],
    [node(operator, ["x", "W", "R", "b"], "y", { hidden_size: H })],
    [
      tensor("W", [1, G * H, I], gates(data["wx"]!, I, H, order)),
      tensor("R", [1, G * H, H], gates(data["wh"]!, H, H, order)),
      tensor("b", [1, 2 * G * H], [...bias, ...bias.map(() => 0)]),
    ],
  );
}

/** Gemm, Relu, Gemm … from `input` to `y`. */
function dense(data: Arrays, extents: Extents, input: string): [NodeProto[], TensorProto[]] {
  const nodes: NodeProto[] = [];
  const initializers: TensorProto[] = [];
  let from = input;
  for (let i = 0; i + 1 < extents.length; i++) {
    const isLast = i + 2 === extents.length;
    initializers.push(tensor(`w${i}`, [extents[i]!, extents[i + 1]!], data[`w${i}`]!));
    initializers.push(tensor(`b${i}`, [extents[i + 1]!], data[`b${i}`]!));
    nodes.push(node("Gemm", [from, `w${i}`, `b${i}`], isLast ? "y" : `z${i}`));
    if (!isLast) nodes.push(node("Relu", [`z${i}`], `h${i}`));
    from = `h${i}`;
  }
  return [nodes, initializers];
}

type Build = (p: never, data: Arrays) => Uint8Array;

const conv = (p: Record<"C" | "H" | "W" | "O" | "k" | "pad" | "groups", number>, data: Arrays): Uint8Array => {
  const { C, H, W, O, k, pad, groups } = p;
  const attributes = { kernel_shape: [k, k], pads: [pad, pad, pad, pad], group: groups };
  const w = tensor("w", [O, C / groups, k, k], data["w"]!);
  return model({ x: [1, C, H, W] }, [1, O, H, W], [node("Conv", ["x", "w"], "y", attributes)], [w]);
};

const builders: Readonly<Record<string, Build>> = {
  W1: ({ n }: { n: number }) => model({ a: [n, n], b: [n, n] }, [n, n], [node("MatMul", ["a", "b"], "y")]),
  W2: ({ K, N }: { K: number; N: number }, data) =>
    model({ a: [1, K] }, [1, N], [node("MatMul", ["a", "b"], "y")], [tensor("b", [K, N], data["b"]!)]),
  W3: conv,
  W4: conv,
  W5: conv,
  W6: (p: Record<"T" | "B" | "I" | "H", number>, data) => recurrent("LSTM", p, data, [0, 3, 1, 2]), // i, o, f, c
  W7: (p: Record<"T" | "B" | "I" | "H", number>, data) => recurrent("GRU", p, data, [0, 1, 2]), // z, r, h
  W8: ({ B, dims }: { B: number; dims: Extents }, data) => model({ x: [B, 784] }, [B, 10], ...dense(data, dims, "x")),
  W9: ({ B, dims }: { B: number; dims: Extents }, data) => {
    const [nodes, initializers] = dense(data, dims, "flat");
    const pool = { kernel_shape: [2, 2], strides: [2, 2] };
    return model(
      { x: [B, 1, 28, 28] },
      [B, 10],
      [
        node("Conv", ["x", "c0", "cb0"], "a0", { kernel_shape: [5, 5], pads: [2, 2, 2, 2] }),
        node("Relu", ["a0"], "r0"),
        node("MaxPool", ["r0"], "p0", pool),
        node("Conv", ["p0", "c1", "cb1"], "a1", { kernel_shape: [5, 5] }),
        node("Relu", ["a1"], "r1"),
        node("MaxPool", ["r1"], "p1", pool),
        node("Flatten", ["p1"], "flat", { axis: 1 }),
        ...nodes,
      ],
      [
        tensor("c0", [6, 1, 5, 5], data["c0"]!),
        tensor("cb0", [6], data["cb0"]!),
        tensor("c1", [16, 6, 5, 5], data["c1"]!),
        tensor("cb1", [16], data["cb1"]!),
        ...initializers,
      ],
    );
  },
  "W10.softmax": ({ R, C }: { R: number; C: number }) =>
    model({ x: [R, C] }, [R, C], [node("Softmax", ["x"], "y", { axis: -1 })]),
  "W10.layernorm": ({ R, C }: { R: number; C: number }, data) =>
    model(
      { x: [R, C] },
      [R, C],
      [node("LayerNormalization", ["x", "g", "b"], "y", { axis: -1, epsilon: 1e-5 })],
      [tensor("g", [C], data["g"]!), tensor("b", [C], data["b"]!)],
    ),
  W12: ({ n, chain }: { n: number; chain: readonly ChainStep[] }) => {
    const names = { mul: "Mul", add: "Add", sub: "Sub", abs: "Abs" };
    const last = chain.length - 1;
    const nodes = chain.map(({ op, c }, i) => {
      const inputs = [i === 0 ? "x" : `t${i - 1}`, ...(c === undefined ? [] : [`k${i}`])];
      return node(names[op], inputs, i === last ? "y" : `t${i}`);
    });
    const constants = chain.flatMap(({ c }, i) => (c === undefined ? [] : [tensor(`k${i}`, [], [c])]));
    return model({ x: [n] }, [n], nodes, constants);
  },
};

/** The file's bytes; undefined for a workload that ONNX has no operators for (training, ceilings). */
export function onnxModel(id: string): Uint8Array | undefined {
  const one = workload(id);
  const build = builders[id] ?? builders[id.split(".")[0]!];
  return build?.(one.p as never, dataOf(one));
}
