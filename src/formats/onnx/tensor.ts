// Tensors between a file, the caller and the graph. A file has each type in its own size; the graph has 32-bit words
// (core/dtype.ts). In between, 64-bit numbers are kept as float64, so that an `ends` of 2⁶³ − 1 may pass through shape
// arithmetic; they are narrowed, with a check, when they enter a graph.

import { dtypes, isFloat, isWide, storeValues, type DType, type TypedArray } from "../../core/dtype.ts";
import { DTypeError, FormatError, ShapeError, UnsupportedError } from "../../core/errors.ts";
import { formatShape, sizeOf, type Shape } from "../../core/shape.ts";
import type { TensorData } from "../../core/tensorData.ts";
import type { Numbers } from "../../ops/operator.ts";
import {
  computedDType,
  encodeElements,
  isStoredDType,
  naturalElements,
  storedSizeBytes,
  type NaturalArray,
  type StoredDType,
} from "../elements.ts";
import type { OnnxDType, TensorProto } from "./model.ts";
import { StreamedTensor } from "./streamed.ts";

/** A tensor on the host: stored words, or float64 for 64-bit types. */
export interface HostValue {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: Numbers;
}

/** Typed arrays a caller may hand over or gets back: each type in its natural array. */
export type OnnxArray = NaturalArray | Uint8ClampedArray;

/**
 * A tensor as a caller sees it. float32 and float16 come as Float32Array, float64 as Float64Array, int64 and uint64 as
 * BigInt64Array and BigUint64Array, bool as Uint8Array of 0 and 1, the others as the array of their name.
 */
export interface OnnxTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: OnnxArray;
}

/** The types that can be computed with. */
export function isDType(dtype: OnnxDType): dtype is DType {
  return dtype in dtypes;
}

/** A file's tensor with its values; a view of the file's bytes where type and alignment allow. bfloat16 becomes float32. */
export function hostValueOf(tensor: TensorProto): HostValue {
  const { name, shape, bytes, dtype, readBytes } = tensor;
  if (tensor.external)
    throw new FormatError(`ONNX: the data of tensor "${name}" lies outside the file and was not read`);
  if (!isStoredDType(dtype))
    throw new UnsupportedError(`ONNX: tensor "${name}" is ${dtype}, which cannot be computed with`);
  if (!readBytes) return { dtype: computedDType(dtype), shape, data: hostElements(bytes, dtype) };
  const elementBytes = storedSizeBytes(dtype);
  return new StreamedTensor(name, computedDType(dtype), shape, async (first, count) => {
    const part = hostElements(await readBytes(first * elementBytes, count * elementBytes), dtype);
    return part as TypedArray; // 64-bit numbers are never left in a file
  });
}

function hostElements(bytes: Uint8Array, dtype: StoredDType): Numbers {
  const elements = naturalElements(bytes, dtype);
  if (elements instanceof BigInt64Array || elements instanceof BigUint64Array)
    return Float64Array.from(elements as Iterable<bigint>, exactNumber);
  if (isFloat(computedDType(dtype))) return elements as Numbers;
  if (dtype === "bool") return Uint32Array.from(elements as Uint8Array, (byte) => (byte === 0 ? 0 : 1));
  if (elements instanceof Int32Array || elements instanceof Uint32Array) return elements;
  return storeValues(elements, computedDType(dtype), "");
}

/** Files say "to the end" with these. */
const EXTREMES: readonly bigint[] = [2n ** 63n - 1n, -(2n ** 63n), 1n - 2n ** 63n, 2n ** 64n - 1n];

/** A 64-bit integer as a number. Throws DTypeError where that would change it, but for the extremes. */
function exactNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) && !EXTREMES.includes(value))
    throw new DTypeError(`${value} does not fit: 64-bit integers are exact up to 2⁵³ here`);
  return number;
}

/** Narrowed to the words that a graph computes with. Throws DTypeError naming `who` for 64-bit values that do not fit. */
export function toTensorData({ dtype, shape, data }: HostValue, who: string): TensorData {
  return { dtype, shape, data: data instanceof Float64Array ? storeValues(data, dtype, who) : data };
}

/**
 * A host value of a reference's float64 results: rounded as stored, 64-bit integers as they are. Throws DTypeError where
 * such an integer is past 2⁵³, for then it is not exact.
 */
export function fromReference(values: Float64Array, dtype: DType, shape: Shape): HostValue {
  if (dtype === "int64" || dtype === "uint64") {
    const inexact = values.find((value) => Math.abs(value) > Number.MAX_SAFE_INTEGER);
    if (inexact !== undefined && Math.abs(inexact) < 2 ** 63)
      throw new DTypeError(`${inexact} does not fit: ${dtype} values are exact up to 2⁵³ here`);
  }
  return { dtype, shape, data: isWide(dtype) ? values : storeValues(values, dtype, "constant") };
}

/** What a run returns. */
export function toOnnxTensor({ dtype, shape, data }: HostValue): OnnxTensor {
  return { dtype, shape, data: naturalArray(dtype, data) };
}

function naturalArray(dtype: DType, data: Numbers): OnnxArray {
  if (dtype === "int64")
    return BigInt64Array.from(data as Iterable<number>, (value) => clampBig(value, -(2n ** 63n), 2n ** 63n - 1n));
  if (dtype === "uint64")
    return BigUint64Array.from(data as Iterable<number>, (value) => clampBig(value, 0n, 2n ** 64n - 1n));
  if (dtype === "float16") return Float32Array.from(data); // rounded already
  return naturalElements(encodeElements(data, dtype), dtype);
}

/** The largest 64-bit integers are rounded up when they become numbers. */
function clampBig(value: number, low: bigint, high: bigint): bigint {
  const integer = BigInt(value);
  return integer < low ? low : integer > high ? high : integer;
}

/** True when some value does not fit the 32 bits a graph keeps it in. */
export function exceedsWords(value: HostValue): boolean {
  const { dtype } = value;
  if (!isWide(dtype) || dtype === "float64") return false;
  const { data } = value;
  if (!(data instanceof Float64Array)) return false;
  const { low, high } = dtypes[dtype];
  return data.some((value) => value < low || value > high);
}

/** A caller's numbers as a host value of its own. `who` names the input in errors. */
export function fromCaller(
  data: OnnxArray | readonly number[] | readonly bigint[] | readonly boolean[],
  dtype: DType,
  shape: Shape,
  who: string,
): HostValue {
  if (data.length !== sizeOf(shape))
    throw new ShapeError(`${who}: ${data.length} elements do not fill ${formatShape(shape)}`);
  if (dtype === "float16" && data instanceof Uint16Array)
    return { dtype, shape, data: naturalElements(new Uint8Array(data.slice().buffer), dtype) as Float32Array };
  const isBig = data instanceof BigInt64Array || data instanceof BigUint64Array || typeof data[0] === "bigint";
  if (isBig && dtypes[dtype].kind !== "int") throw new DTypeError(`${who}: big integers given for ${dtype}`);
  const stored = dtypes[dtype].create(0).constructor;
  if (!isWide(dtype) && data.constructor === stored && dtype !== "float16" && !isNarrow(dtype))
    return { dtype, shape, data: (data as Numbers).slice() };
  const numbers = Float64Array.from(data as ArrayLike<number | bigint>, (value) =>
    typeof value === "bigint" ? exactNumber(value) : value,
  );
  const { kind, low, high } = dtypes[dtype];
  if (kind !== "float" && !isWide(dtype))
    for (const value of numbers)
      if (!Number.isInteger(value) || value < low || value > high)
        throw new DTypeError(`${who}: ${value} is no ${dtype}, which holds ${low} to ${high}`);
  return isWide(dtype) ? { dtype, shape, data: numbers } : { dtype, shape, data: storeValues(numbers, dtype, who) };
}

function isNarrow(dtype: DType): boolean {
  return dtypes[dtype].kind !== "float" && dtypes[dtype].high < 2 ** 31 - 1;
}
