// An ONNX model as plain data: what a file says, before anything is asked of it. Field names follow onnx.proto3.

import type { DType } from "../../core/dtype.ts";

/** Element types a file may declare. Those that are no {@link DType} can be named in messages and not computed with. */
export type OnnxDType =
  | DType
  | "string"
  | "complex64"
  | "complex128"
  | "bfloat16"
  | "float8e4m3fn"
  | "float8e4m3fnuz"
  | "float8e5m2"
  | "float8e5m2fnuz"
  | "uint4"
  | "int4"
  | "float4e2m1"
  | "undefined";

/** By their number in TensorProto.DataType. */
export const DATA_TYPES: readonly OnnxDType[] = [
  "undefined",
  "float32",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "int32",
  "int64",
  "string",
  "bool",
  "float16",
  "float64",
  "uint32",
  "uint64",
  "complex64",
  "complex128",
  "bfloat16",
  "float8e4m3fn",
  "float8e4m3fnuz",
  "float8e5m2",
  "float8e5m2fnuz",
  "uint4",
  "int4",
  "float4e2m1",
];

/** A tensor in a file: its bytes little-endian, or where they lie outside the file. */
export interface TensorProto {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly shape: readonly number[];
  /** Elements in the type's own size, row-major. A view into the file where it could be one. */
  readonly bytes: Uint8Array;
  /** Strings of a string tensor. */
  readonly strings?: readonly string[];
  /** `location`, `offset`, `length` of external data; `bytes` is then empty until it has been read. */
  readonly external?: Readonly<Record<string, string>>;
  /** Bytes that are left in a file until they are needed: `count` of them from byte `first` on. `bytes` is then empty. */
  readonly readBytes?: (first: number, count: number) => Promise<Uint8Array>;
}

/** An attribute's value. `other` is a kind that nothing here reads; its value says which. */
export type AttributeProto =
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "int"; readonly value: number }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "tensor"; readonly value: TensorProto }
  | { readonly kind: "graph"; readonly value: GraphProto }
  | { readonly kind: "floats"; readonly value: readonly number[] }
  | { readonly kind: "ints"; readonly value: readonly number[] }
  | { readonly kind: "strings"; readonly value: readonly string[] }
  /** In a function's body: the attribute of the call that goes here, and its AttributeProto.AttributeType. */
  | { readonly kind: "reference"; readonly value: string; readonly type: number }
  | { readonly kind: "other"; readonly value: string };

/** One application of an operator. */
export interface NodeProto {
  readonly name: string;
  readonly operator: string;
  /** "" is ONNX's own. */
  readonly domain: string;
  /** Absent optional inputs and unwanted outputs are "". */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, AttributeProto>;
}

/** An input or output: type and shape as declared; extents may be names, shapes may be missing. */
export interface ValueInfo {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly shape: readonly (number | string)[] | undefined;
  /** "tensor", or what else it is: "sequence", "optional", "map". */
  readonly kind: string;
}

/** A model's graph, or a subgraph of If, Loop or Scan. Nodes stand in an order in which they can be carried out. */
export interface GraphProto {
  readonly name: string;
  readonly nodes: readonly NodeProto[];
  readonly initializers: ReadonlyMap<string, TensorProto>;
  /** All inputs, those with an initializer (a default) included. */
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

/** An operator that a model defines by others. */
export interface FunctionProto {
  readonly name: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly NodeProto[];
  readonly attributes: ReadonlyMap<string, AttributeProto>;
  readonly opsets: Readonly<Record<string, number>>;
}

/** A whole file. */
export interface ModelProto {
  readonly irVersion: number;
  readonly producer: string;
  /** Version of each operator set, by domain. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly graph: GraphProto;
  readonly functions: readonly FunctionProto[];
  readonly metadata: Readonly<Record<string, string>>;
}
