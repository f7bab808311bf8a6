// Small ONNX models written by hand, for tests of what reads them.

import { encodeModel } from "../../src/formats/onnx/encode.ts";
import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  OnnxDType,
  TensorProto,
  ValueInfo,
} from "../../src/formats/onnx/model.ts";

/** `float32 [2, n]` as `["float32", 2, "n"]`. */
type Declared = readonly [OnnxDType, ...(number | string)[]];

interface GraphParts {
  readonly nodes: readonly NodeProto[];
  readonly inputs?: Readonly<Record<string, Declared>>;
  readonly outputs: Readonly<Record<string, Declared>>;
  readonly initializers?: readonly TensorProto[];
}

/** A node: `node("Add", "a b", "y")`; `-` stands for an absent input. */
export function node(
  operator: string,
  inputs: string,
  outputs: string,
  attributes: Readonly<Record<string, AttributeProto>> = {},
  domain = "",
): NodeProto {
  const names = (text: string): string[] =>
    text.split(" ").filter((name) => name !== "").map((name) => (name === "-" ? "" : name)); // prettier-ignore
  return {
    name: "",
    operator,
    domain,
    inputs: names(inputs),
    outputs: names(outputs),
    attributes: new Map(Object.entries(attributes)),
  };
}

export function graph({ nodes, inputs = {}, outputs, initializers = [] }: GraphParts): GraphProto {
  const infos = (declared: Readonly<Record<string, Declared>>): ValueInfo[] =>
    Object.entries(declared).map(([name, [dtype, ...shape]]) => ({ name, dtype, shape, kind: "tensor" }));
  return {
    name: "test",
    nodes,
    inputs: infos(inputs),
    outputs: infos(outputs),
    initializers: new Map(initializers.map((tensor) => [tensor.name, tensor])),
  };
}

/** A file's bytes. */
export function modelBytes(parts: GraphParts, more: Partial<ModelProto> = {}): Uint8Array {
  return encodeModel({
    irVersion: 10,
    producer: "tests",
    opsets: { "": 21 },
    functions: [],
    metadata: {},
    graph: graph(parts),
    ...more,
  });
}

/** A float32 tensor of a file. */
export function floats(name: string, shape: readonly number[], values: readonly number[]): TensorProto {
  return { name, dtype: "float32", shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}

/** An int64 tensor of a file. */
export function integers(name: string, shape: readonly number[], values: readonly (number | bigint)[]): TensorProto {
  return { name, dtype: "int64", shape, bytes: new Uint8Array(BigInt64Array.from(values, BigInt).buffer) };
}

export const int = (value: number): AttributeProto => ({ kind: "int", value });
export const ints = (...value: readonly number[]): AttributeProto => ({ kind: "ints", value });
export const subgraph = (parts: GraphParts): AttributeProto => ({ kind: "graph", value: graph(parts) });
