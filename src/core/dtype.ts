// Element types of tensors: their ONNX names, what they can hold, and how they compute: each element in one 32-bit word, on
// both backends. A float16 is a float32 that has been rounded to half precision, an int8 an i32 within [-128, 127]. 64-bit
// types are narrowed to 32 bits, and a value that does not fit is an error (see storeValues), never a silent wrap. Memory may
// hold less than words (storage.ts), and files hold the types' own sizes (src/formats).

import { DTypeError } from "./errors.ts";

/** Element type of a tensor, by its ONNX name. `bool` is stored as a 32-bit 0 or 1. */
export type DType =
  | "float32"
  | "float16"
  | "float64"
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "uint64"
  | "bool";

/** Host storage of a tensor's elements. */
export type TypedArray = Float32Array | Int32Array | Uint32Array;

/** Elements from which on it pays to look whether a constant fits a type narrower than its own. */
export const LARGE_CONSTANT = 2 ** 10;

interface DTypeInfo {
  /** Bytes an element takes where it computes. */
  readonly sizeBytes: number;
  readonly wgsl: "f32" | "i32" | "u32";
  /** `float` rounds, `int` wraps or is range-checked, `bool` is 0 or 1. */
  readonly kind: "float" | "int" | "bool";
  /** Smallest and largest finite value that is stored. */
  readonly low: number;
  readonly high: number;
  readonly create: (length: number) => TypedArray;
  readonly view: (buffer: ArrayBuffer, byteOffset?: number, length?: number) => TypedArray;
}

const LARGEST_FLOAT32 = 3.4028234663852886e38;
const LARGEST_FLOAT16 = 65504;

/** A type stored in the words of `array`. */
const stored = (
  array: Float32ArrayConstructor | Int32ArrayConstructor | Uint32ArrayConstructor,
  facts: Pick<DTypeInfo, "wgsl" | "kind" | "low" | "high">,
): DTypeInfo => ({
  ...facts,
  sizeBytes: 4,
  create: (length) => new array(length),
  view: (buffer, byteOffset, length) => new array(buffer, byteOffset, length),
});

const float = (high: number): DTypeInfo => stored(Float32Array, { wgsl: "f32", kind: "float", low: -high, high });

const signed = (bits: number): DTypeInfo =>
  stored(Int32Array, { wgsl: "i32", kind: "int", low: -(2 ** (bits - 1)), high: 2 ** (bits - 1) - 1 });

const unsigned = (bits: number, kind: "int" | "bool" = "int"): DTypeInfo =>
  stored(Uint32Array, { wgsl: "u32", kind, low: 0, high: 2 ** bits - 1 });

/** Facts about each element type, in one table. */
export const dtypes: Readonly<Record<DType, DTypeInfo>> = {
  float32: float(LARGEST_FLOAT32),
  float16: float(LARGEST_FLOAT16),
  float64: float(LARGEST_FLOAT32),
  int8: signed(8),
  uint8: unsigned(8),
  int16: signed(16),
  uint16: unsigned(16),
  int32: signed(32),
  uint32: unsigned(32),
  int64: signed(32),
  uint64: unsigned(32),
  bool: unsigned(1, "bool"),
};

/** True for types whose arithmetic rounds. */
export function isFloat(dtype: DType): boolean {
  return dtypes[dtype].kind === "float";
}

/** True for types that are narrowed to 32 bits: what does not fit is an error. */
export function isWide(dtype: DType): boolean {
  return dtype === "int64" || dtype === "uint64" || dtype === "float64";
}

/** The element type a typed array stores. */
export function dtypeOf(array: TypedArray): DType {
  if (array instanceof Float32Array) return "float32";
  if (array instanceof Int32Array) return "int32";
  return "uint32";
}

/**
 * `values` as `dtype` stores them: floats rounded (to half precision for float16), integers of up to 32 bits wrapped.
 * Throws DTypeError naming `who` when a value of a 64-bit type does not fit into 32 bits.
 */
export function storeValues(values: ArrayLike<number>, dtype: DType, who: string): TypedArray {
  const stored = dtypes[dtype].create(values.length);
  if (dtype === "float32" || dtype === "int32" || dtype === "uint32" || dtype === "bool") stored.set(values);
  else for (let i = 0; i < stored.length; i++) stored[i] = storeValue(values[i]!, dtype, who);
  return stored;
}

/** One value as `dtype` stores it; see {@link storeValues}. */
export function storeValue(value: number, dtype: DType, who: string): number {
  const { kind, low, high } = dtypes[dtype];
  if (kind === "bool") return value === 0 ? 0 : 1;
  if (isWide(dtype)) {
    if (Number.isFinite(value) && (value < low || value > high))
      throw new DTypeError(
        `${who}: ${value} does not fit: ${dtype} values are kept in 32 bits, which hold ${low} to ${high}`,
      );
    return kind === "float" ? Math.fround(value) : Math.trunc(value);
  }
  if (kind === "float") return dtype === "float16" ? roundToHalf(value) : Math.fround(value);
  const spare = Math.clz32(high - low); // bits of the word that the type leaves unused
  return low < 0 ? (value << spare) >> spare : (value << spare) >>> spare;
}

const exponentView = new Float64Array(1);
const exponentBits = new Uint32Array(exponentView.buffer);

/** The nearest half-precision number, ties to even; beyond 65,504 infinite. */
export function roundToHalf(value: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  exponentView[0] = value;
  const exponent = Math.max(((exponentBits[1]! >>> 20) & 0x7ff) - 1023, -14);
  const shift = 2 ** (exponent - 10) * 1.5 * 2 ** 52; // a double this large has the half's last place as its own
  const magnitude = Math.abs(value) + shift - shift;
  return Math.sign(value) * (magnitude > LARGEST_FLOAT16 ? Infinity : magnitude);
}
