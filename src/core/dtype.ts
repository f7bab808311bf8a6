// Element types of tensors: how each is stored on the host and what a WGSL binding of it is made of.
// ONNX names are used throughout. Every type that reaches the GPU occupies one 32-bit word per element.

/** Element type of a tensor, by its ONNX name. `bool` is stored as a 32-bit 0 or 1. */
export type DType = "float32" | "int32" | "uint32" | "bool";

/** Host storage of a tensor's elements. */
export type TypedArray = Float32Array | Int32Array | Uint32Array;

interface DTypeInfo {
  readonly sizeBytes: number;
  readonly wgsl: "f32" | "i32" | "u32";
  readonly create: (length: number) => TypedArray;
  readonly view: (buffer: ArrayBuffer, byteOffset?: number, length?: number) => TypedArray;
}

/** Facts about each element type, in one table. */
export const dtypes: Readonly<Record<DType, DTypeInfo>> = {
  float32: {
    sizeBytes: 4,
    wgsl: "f32",
    create: (length) => new Float32Array(length),
    view: (buffer, byteOffset, length) => new Float32Array(buffer, byteOffset, length),
  },
  int32: {
    sizeBytes: 4,
    wgsl: "i32",
    create: (length) => new Int32Array(length),
    view: (buffer, byteOffset, length) => new Int32Array(buffer, byteOffset, length),
  },
  uint32: {
    sizeBytes: 4,
    wgsl: "u32",
    create: (length) => new Uint32Array(length),
    view: (buffer, byteOffset, length) => new Uint32Array(buffer, byteOffset, length),
  },
  bool: {
    sizeBytes: 4,
    wgsl: "u32",
    create: (length) => new Uint32Array(length),
    view: (buffer, byteOffset, length) => new Uint32Array(buffer, byteOffset, length),
  },
};

/** True for types whose arithmetic rounds. */
export function isFloat(dtype: DType): boolean {
  return dtype === "float32";
}

/** The element type a typed array stores. */
export function dtypeOf(array: TypedArray): DType {
  if (array instanceof Float32Array) return "float32";
  if (array instanceof Int32Array) return "int32";
  return "uint32";
}
