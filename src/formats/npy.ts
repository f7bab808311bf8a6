// .npy: one array of NumPy in a file. Six magic bytes, a version, the length of a header, the header (a Python dictionary
// that names element type, order and shape), then the elements.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

import type { DType } from "../core/dtype.ts";
import { FormatError, UnsupportedError, UsageError } from "../core/errors.ts";
import { formatShape, sizeOf, type Shape } from "../core/shape.ts";
import { encodeElements, naturalElements, storedSizeBytes, type NaturalArray } from "./elements.ts";

/** An array of a file: 64-bit integers are big integers, halves float32, truth values 0 and 1; always in row-major order. */
export interface NpyArray {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: NaturalArray;
}

const MAGIC = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59); // \x93NUMPY
const VERSION_BYTES = 2;
/** The elements begin at a multiple of this. */
const ALIGNMENT_BYTES = 64;

/** NumPy's kinds and sizes in bytes. */
const DESCRIPTIONS: Readonly<Record<string, DType>> = {
  f2: "float16",
  f4: "float32",
  f8: "float64",
  i1: "int8",
  i2: "int16",
  i4: "int32",
  i8: "int64",
  u1: "uint8",
  u2: "uint16",
  u4: "uint32",
  u8: "uint64",
  b1: "bool",
};

const NAMES = Object.fromEntries(Object.entries(DESCRIPTIONS).map(([name, dtype]) => [dtype, name])) as Readonly<
  Record<DType, string>
>;

/**
 * Reads a file of any version and either byte order; Fortran order is brought into rows.
 *
 * @throws FormatError for damaged files, UnsupportedError for types there are none of here (complex numbers, text, objects).
 * @example
 * const { dtype, shape, data } = decodeNpy(await readFile("x.npy"));
 */
export function decodeNpy(file: Uint8Array | ArrayBuffer): NpyArray {
  const bytes = file instanceof Uint8Array ? file : new Uint8Array(file);
  const { text, dataStart } = header(bytes);
  const { description, isFortran, shape } = parseHeader(text);
  const [, order, kind] = /^([<>=|])([a-zA-Z]\d*)/.exec(description) ?? [];
  const dtype = kind !== undefined && kind.length === description.length - 1 ? DESCRIPTIONS[kind] : undefined;
  if (dtype === undefined)
    throw new UnsupportedError(
      `npy: elements are "${description}"; ${Object.keys(DESCRIPTIONS).join(", ")} can be read`,
    );
  const sizeBytes = storedSizeBytes(dtype);
  const expected = sizeOf(shape) * sizeBytes;
  if (bytes.length - dataStart !== expected)
    fail(`${dtype} ${formatShape(shape)} takes ${expected} bytes, and ${bytes.length - dataStart} follow the header`);
  const own = new Uint8Array(bytes.subarray(dataStart));
  if (order === ">") swapBytes(own, sizeBytes);
  if (dtype === "bool") own.forEach((byte, i) => (own[i] = byte === 0 ? 0 : 1));
  const ordered = isFortran && shape.length > 1 ? rowsOfColumns(own, sizeBytes, shape) : own;
  return { dtype, shape, data: naturalElements(ordered, dtype) };
}

/**
 * The bytes of a file with one array; elements may be as they compute (32-bit words) or in their natural arrays.
 *
 * @example
 * await writeFile("y.npy", encodeNpy(y));
 */
export function encodeNpy(array: {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: ArrayLike<number | bigint>;
}): Uint8Array<ArrayBuffer> {
  const { dtype, shape, data } = array;
  if (data.length !== sizeOf(shape))
    throw new UsageError(`encodeNpy: ${data.length} elements do not fill ${formatShape(shape)}`);
  const order = storedSizeBytes(dtype) === 1 ? "|" : "<";
  const extents = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${order}${NAMES[dtype]}', 'fortran_order': False, 'shape': (${extents}), }`;
  const prefixBytes = MAGIC.length + VERSION_BYTES + 2;
  const dataStart = Math.ceil((prefixBytes + text.length + 1) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
  const elements = encodeElements(data, dtype);
  const file = new Uint8Array(dataStart + elements.length);
  file.set(MAGIC);
  file[MAGIC.length] = 1; // version 1.0: a header of up to 65,535 bytes
  new DataView(file.buffer).setUint16(MAGIC.length + VERSION_BYTES, dataStart - prefixBytes, true);
  file.set(new TextEncoder().encode(`${text.padEnd(dataStart - prefixBytes - 1)}\n`), prefixBytes);
  file.set(elements, dataStart);
  return file;
}

function header(bytes: Uint8Array): { readonly text: string; readonly dataStart: number } {
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) fail("the file does not begin as .npy files do");
  const version = bytes[MAGIC.length] ?? 0;
  if (version < 1 || version > 3) fail(`version ${version} is not known`);
  const lengthBytes = version === 1 ? 2 : 4;
  const textStart = MAGIC.length + VERSION_BYTES + lengthBytes;
  if (bytes.length < textStart) fail("the file ends before its header");
  const view = new DataView(bytes.buffer, bytes.byteOffset + textStart - lengthBytes);
  const length = version === 1 ? view.getUint16(0, true) : view.getUint32(0, true);
  if (bytes.length < textStart + length) fail(`the header should have ${length} bytes; the file is cut short`);
  const encoding = version === 3 ? "utf-8" : "latin1";
  const text = new TextDecoder(encoding).decode(bytes.subarray(textStart, textStart + length));
  return { text, dataStart: textStart + length };
}

/** The three entries of the dictionary, as NumPy writes them. */
function parseHeader(text: string): {
  readonly description: string;
  readonly isFortran: boolean;
  readonly shape: Shape;
} {
  const description = /['"]descr['"]\s*:\s*['"]([^'"]*)['"]/.exec(text)?.[1];
  const order = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text)?.[1];
  const extents = /['"]shape['"]\s*:\s*\(([\d\s,L]*)\)/.exec(text)?.[1];
  if (/['"]descr['"]\s*:\s*\[/.test(text)) throw new UnsupportedError("npy: records of several fields cannot be read");
  if (description === undefined || order === undefined || extents === undefined)
    return fail(`the header has no descr, fortran_order and shape: ${text.trim().slice(0, 200)}`);
  const shape = extents
    .split(",")
    .map((extent) => extent.trim().replace(/L$/, "")) // Python 2 wrote long integers so
    .filter((extent) => extent !== "")
    .map(Number);
  if (!shape.every((extent) => Number.isSafeInteger(extent))) fail(`the shape is (${extents})`);
  return { description, isFortran: order === "True", shape };
}

function swapBytes(bytes: Uint8Array, sizeBytes: number): void {
  for (let at = 0; at < bytes.length; at += sizeBytes) bytes.subarray(at, at + sizeBytes).reverse();
}

/** Elements with the first index running fastest, put into the order with the last running fastest. */
function rowsOfColumns(bytes: Uint8Array, sizeBytes: number, shape: Shape): Uint8Array {
  const strides: number[] = [];
  let stride = 1;
  for (const extent of shape) {
    strides.push(stride);
    stride *= extent;
  }
  const rows = new Uint8Array(bytes.length);
  const index = shape.map(() => 0);
  for (let to = 0; to < bytes.length; to += sizeBytes) {
    const from = sizeBytes * index.reduce((sum, place, axis) => sum + place * strides[axis]!, 0);
    rows.set(bytes.subarray(from, from + sizeBytes), to);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
  return rows;
}

function fail(what: string): never {
  throw new FormatError(`npy: ${what}`);
}
