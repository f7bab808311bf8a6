// Elements as files hold them: little-endian, each type in its own size. Where tensors compute every element is a 32-bit
// word (core/dtype.ts); here is the one table that says how each type gets from one form to the other.

import { storeValues, type DType, type TypedArray } from "../core/dtype.ts";
import { FormatError } from "../core/errors.ts";

/** Element types that can be read. bfloat16 is the upper half of a float32. */
export type StoredDType = DType | "bfloat16";

/** Elements as a caller sees them: 64-bit integers as big integers, float16 and bfloat16 as float32, bool as 0 and 1. */
export type NaturalArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

interface Stored {
  readonly sizeBytes: number;
  readonly create: (count: number) => NaturalArray;
  readonly view: (buffer: ArrayBufferLike, byteOffset: number, count: number) => NaturalArray;
  /** Where the stored element is not the number itself. */
  readonly codec?: { readonly decode: (bits: number) => number; readonly encode: (value: number) => number };
}

interface NaturalConstructor {
  readonly BYTES_PER_ELEMENT: number;
  new (count: number): NaturalArray;
  new (buffer: ArrayBufferLike, byteOffset: number, count: number): NaturalArray;
}

/* @__NO_SIDE_EFFECTS__ */
function stored(array: NaturalConstructor, codec?: Stored["codec"]): Stored {
  return {
    sizeBytes: array.BYTES_PER_ELEMENT,
    create: (count) => new array(count),
    view: (buffer, byteOffset, count) => new array(buffer, byteOffset, count),
    ...(codec && { codec }),
  };
}

const STORED: Readonly<Record<StoredDType, Stored>> = {
  float32: stored(Float32Array),
  float64: stored(Float64Array),
  float16: stored(Uint16Array, { decode: numberOfHalf, encode: halfOfNumber }),
  bfloat16: stored(Uint16Array, { decode: numberOfBrain, encode: brainOfNumber }),
  int8: stored(Int8Array),
  uint8: stored(Uint8Array),
  int16: stored(Int16Array),
  uint16: stored(Uint16Array),
  int32: stored(Int32Array),
  uint32: stored(Uint32Array),
  int64: stored(BigInt64Array),
  uint64: stored(BigUint64Array),
  bool: stored(Uint8Array),
};

/** Whether `name` is a type this table knows. */
export function isStoredDType(name: string): name is StoredDType {
  return Object.hasOwn(STORED, name);
}

/** Bytes an element takes in a file. */
export function storedSizeBytes(dtype: StoredDType): number {
  return STORED[dtype].sizeBytes;
}

/** The type that tensors have once they are read: bfloat16 becomes float32, exactly. */
export function computedDType(dtype: StoredDType): DType {
  return dtype === "bfloat16" ? "float32" : dtype;
}

/** The elements in `bytes`: a view where they are aligned and need no conversion, else a copy. */
export function naturalElements(bytes: Uint8Array, dtype: StoredDType): NaturalArray {
  const { sizeBytes, view, codec } = STORED[dtype];
  if (bytes.length % sizeBytes !== 0)
    throw new FormatError(`${bytes.length} bytes are no whole number of ${dtype} elements of ${sizeBytes} bytes`);
  const aligned = bytes.byteOffset % sizeBytes === 0 ? bytes : new Uint8Array(bytes); // a copy, of Node's Buffers, too
  const elements = view(aligned.buffer, aligned.byteOffset, aligned.length / sizeBytes);
  return codec ? Float32Array.from(elements as Uint16Array, codec.decode) : elements;
}

/**
 * Elements of a file as the words they are where they compute. `who` is named when a 64-bit value does not fit.
 *
 * @throws DTypeError for int64, uint64 and float64 values beyond 32 bits, FormatError for a number of bytes that is broken.
 */
export function decodeElements(bytes: Uint8Array, dtype: StoredDType, who: string): TypedArray {
  const elements = naturalElements(bytes, dtype);
  if (dtype === "float32" || dtype === "int32" || dtype === "uint32") return (elements as TypedArray).slice();
  if (dtype === "bool") return Uint32Array.from(elements as Uint8Array, (byte) => (byte === 0 ? 0 : 1));
  return storeValues(asNumbers(elements), computedDType(dtype), who);
}

/** The bytes that hold `elements`, which may be words or natural. */
export function encodeElements(elements: ArrayLike<number | bigint>, dtype: StoredDType): Uint8Array<ArrayBuffer> {
  const { create, codec } = STORED[dtype];
  const into = create(elements.length);
  if (into instanceof BigInt64Array || into instanceof BigUint64Array)
    for (let i = 0; i < into.length; i++) into[i] = BigInt(elements[i]!);
  else if (codec) for (let i = 0; i < into.length; i++) into[i] = codec.encode(Number(elements[i]!));
  else for (let i = 0; i < into.length; i++) into[i] = Number(elements[i]!);
  return new Uint8Array(into.buffer as ArrayBuffer);
}

/** The same as float64 numbers; integers beyond 2⁵³ are rounded. */
export function asNumbers(elements: ArrayLike<number> | ArrayLike<bigint>): ArrayLike<number> {
  return typeof elements[0] === "bigint"
    ? Float64Array.from(elements as ArrayLike<bigint>, Number)
    : (elements as ArrayLike<number>);
}

const scratch = new DataView(new ArrayBuffer(8));

/** IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits. */
function numberOfHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction * 2 ** -10) * 2 ** (exponent - 15));
}

/** The half nearest to `value`, ties to even; beyond 65,504 infinite. */
function halfOfNumber(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00; // halfway between the largest half and 2¹⁶ rounds to infinity
  if (magnitude < 2 ** -14) return sign | roundTiesToEven(magnitude * 2 ** 24); // denormals; 1024 is the smallest normal
  const exponent = exponentOf(magnitude);
  // A fraction that rounds up to 1024 carries into the exponent, which is what it should do.
  return sign | (((exponent + 15) << 10) + roundTiesToEven(magnitude * 2 ** (10 - exponent)) - 1024);
}

/** The exponent e of a normal double m·2ᵉ with 1 ≤ m < 2. */
function exponentOf(value: number): number {
  scratch.setFloat64(0, value);
  return ((scratch.getUint16(0) >> 4) & 0x7ff) - 1023;
}

function roundTiesToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

function numberOfBrain(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

function brainOfNumber(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}
