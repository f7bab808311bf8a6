// Elements in fewer bits than a word. Where tensors compute each element is a 32-bit word, but memory need not hold words:
// a tensor that no kernel writes (a weight, an input) is packed by the host, two or four elements a word, and unpacked by
// each read in a kernel. What a kernel writes cannot be packed so, since two invocations would write one word; on adapters
// with `shader-f16` it may be an array of halves.

import { dtypes, type DType, type TypedArray } from "./dtype.ts";

/** How a buffer holds elements: packed into words as that type, or, as `half`, in WGSL's own `f16`. */
export type Storage = "int8" | "uint8" | "int16" | "uint16" | "float16" | "half";

/** Bits of an element. */
const storageBits: Readonly<Record<Storage, 8 | 16>> = {
  int8: 8,
  uint8: 8,
  int16: 16,
  uint16: 16,
  float16: 16,
  half: 16,
};

/** Bytes of `count` elements, in whole words. */
export function storageBytes(count: number, storage: Storage): number {
  return Math.ceil((count * storageBits[storage]) / 32) * 4;
}

/** What executors need for tensors that are not stored in words; they get it with a plan that has some. */
export interface Packing {
  readonly storageBytes: typeof storageBytes;
  readonly pack: typeof pack;
  readonly packFor: typeof packFor;
  readonly unpack: typeof unpack;
}

type Elements = Int8Array | Uint8Array | Int16Array | Uint16Array;

function elementsOf(storage: Storage, buffer: ArrayBufferLike, byteOffset = 0): Elements {
  switch (storage) {
    case "int8":
      return new Int8Array(buffer, byteOffset);
    case "uint8":
      return new Uint8Array(buffer, byteOffset);
    case "int16":
      return new Int16Array(buffer, byteOffset);
    case "uint16":
    case "float16":
    case "half":
      return new Uint16Array(buffer, byteOffset);
  }
}

/** `data`, every element of which `storage` can hold, as bytes; written to `into` where it is given. */
export function pack(
  data: TypedArray,
  storage: Storage,
  into = new Uint8Array(storageBytes(data.length, storage)),
): Uint8Array<ArrayBuffer> {
  const elements = elementsOf(storage, into.buffer, into.byteOffset);
  if (!isHalves(storage)) elements.set(data);
  else {
    const words = wordsOf(data);
    for (let i = 0; i < data.length; i++) elements[i] = halfBits(data[i]!, words[i]!);
  }
  return into;
}

const packedFor = new WeakMap<object, Uint8Array<ArrayBuffer>>();

/** {@link pack} into an array that is kept for `owner`, whose tensor is packed anew in each run. */
export function packFor(owner: object, data: TypedArray, storage: Storage): Uint8Array<ArrayBuffer> {
  const bytes = pack(data, storage, packedFor.get(owner));
  packedFor.set(owner, bytes);
  return bytes;
}

/** `count` elements of a buffer as words of `dtype`. */
export function unpack(bytes: ArrayBuffer, storage: Storage, dtype: DType, count: number): TypedArray {
  const elements = elementsOf(storage, bytes);
  const data = dtypes[dtype].create(count);
  if (!isHalves(storage)) data.set(elements.subarray(0, count));
  else for (let i = 0; i < count; i++) data[i] = numberOfHalf(elements[i]!);
  return data;
}

/** The storage that `dtype` stands for, where that is narrower than a word. */
export function storageOfType(dtype: DType): Storage | undefined {
  if (dtype === "bool") return "uint8";
  return dtype in storageBits ? (dtype as Storage) : undefined;
}

/**
 * Finds the narrowest storage that holds every element of a tensor exactly, if any is narrower than a word. Whole numbers
 * of a quantized model that computes in float32 take a byte; weights that were halves once take two. Elements are shown
 * to it part by part, so that a page stays alive.
 */
export class NarrowestStorage {
  private low = 0;
  private high = 0;
  private isWhole = true;
  private isHalf: boolean;

  constructor(dtype: DType) {
    this.isHalf = dtypes[dtype].kind === "float";
  }

  /** Looks at more elements; false once no storage is left, which is soon for most tensors. */
  add(data: TypedArray): boolean {
    const words = wordsOf(data);
    const isFloat = data instanceof Float32Array;
    for (let i = 0; i < data.length; i++) {
      const value = data[i]!;
      if (value < this.low) this.low = value;
      if (value > this.high) this.high = value;
      this.isWhole &&= Number.isInteger(value) && !(isFloat && words[i] === NEGATIVE_ZERO);
      this.isHalf &&= isExactHalf(value, words[i]!);
      if (!this.isHalf && (!this.isWhole || this.high > 65535 || this.low < -32768)) return false;
    }
    return true;
  }

  get storage(): Storage | undefined {
    const fits = (storage: DType): boolean => this.low >= dtypes[storage].low && this.high <= dtypes[storage].high;
    const whole = this.isWhole ? (["int8", "uint8", "int16", "uint16"] as const).find(fits) : undefined;
    return whole ?? (this.isHalf ? "float16" : undefined);
  }
}

const NEGATIVE_ZERO = 0x80000000;

const isHalves = (storage: Storage): boolean => storage === "float16" || storage === "half";

const wordsOf = (data: TypedArray): Uint32Array => new Uint32Array(data.buffer, data.byteOffset, data.length);

/** Whether a float32 is a finite half: 10 fraction bits, in steps of no less than 2⁻²⁴. */
function isExactHalf(value: number, word: number): boolean {
  const size = word & 0x7fffffff;
  if ((size & 0x1fff) !== 0 || size > 0x477fe000) return false;
  return size >= 0x38800000 || Number.isInteger(value * 2 ** 24);
}

/** Bits of a float32 that is exactly a half. */
function halfBits(value: number, word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const size = word & 0x7fffffff;
  if (size >= 0x7f800000) return sign | (size === 0x7f800000 ? 0x7c00 : 0x7e00);
  return sign | (size < 0x38800000 ? Math.abs(value) * 2 ** 24 : (size - 0x38000000) >> 13);
}

/** The number that the bits of a half stand for. */
function numberOfHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const size = half & 0x7fff;
  if (size >= 0x7c00) return size === 0x7c00 ? sign * Infinity : NaN;
  const fraction = size & 0x3ff;
  return sign * (size < 0x400 ? size * 2 ** -24 : (1 + fraction * 2 ** -10) * 2 ** ((size >> 10) - 15));
}
