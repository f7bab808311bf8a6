// safetensors: named tensors in one file. Eight bytes give the length of a JSON header (unsigned, little-endian), the header
// gives each tensor's type, shape and place, and the rest is their bytes, row-major and little-endian, without gaps.
// https://github.com/huggingface/safetensors#format. Files come from strangers: everything is checked before a byte is read.

import { FormatError, UnsupportedError, UsageError } from "../core/errors.ts";
import { formatShape, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import type { TensorData } from "../core/tensorData.ts";
import { computedDType, decodeElements, encodeElements, storedSizeBytes, type StoredDType } from "./elements.ts";

/** The contents of a file. */
export interface Safetensors {
  /** In the order of their bytes. */
  readonly tensors: Map<string, TensorData>;
  /** The free text pairs of `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
}

const LENGTH_BYTES = 8;
const METADATA = "__metadata__";
/** Tensors' bytes begin at a multiple of this, as the format's own writer has it. */
const ALIGNMENT_BYTES = 8;
/** What the format's own reader accepts. */
const LARGEST_HEADER_BYTES = 100_000_000;

/** Types of the format that can be read. F16 and BF16 become float32: weights are computed with in full precision. */
const READ: Readonly<Record<string, StoredDType>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  F64: "float64",
  I8: "int8",
  U8: "uint8",
  I16: "int16",
  U16: "uint16",
  I32: "int32",
  U32: "uint32",
  I64: "int64",
  U64: "uint64",
  BOOL: "bool",
};

/** Types of the format that have no place here. */
const REFUSED = ["F8_E4M3", "F8_E5M2", "F8_E8M0", "F6_E2M3", "F6_E3M2", "F4", "C64"];

/** How our types are written. */
const NAMES = Object.fromEntries(Object.entries(READ).map(([name, dtype]) => [dtype, name])) as Readonly<
  Record<StoredDType, string>
>;

/**
 * The bytes of a file with these tensors, in this order; `metadata` is free text. Throws UsageError for a tensor named
 * `__metadata__`.
 *
 * @example
 * await writeFile("weights.safetensors", encodeSafetensors(net.stateDict()));
 */
export function encodeSafetensors(
  tensors: Iterable<readonly [name: string, tensor: WritableTensor]>,
  metadata: Iterable<readonly [key: string, text: string]> = [],
): Uint8Array<ArrayBuffer> {
  // Wide types first, so that every tensor is aligned to its element size.
  const ordered = [...tensors].sort(([, a], [, b]) => storedSizeBytes(b.dtype) - storedSizeBytes(a.dtype));
  const header: [string, unknown][] = [];
  const texts = [...metadata];
  if (texts.length > 0) header.push([METADATA, Object.fromEntries(texts)]);
  const names = new Set<string>();
  let offset = 0;
  for (const [name, { dtype, shape, data }] of ordered) {
    if (name === METADATA || names.has(name))
      throw new UsageError(`encodeSafetensors: a tensor may not be named "${name}" here`);
    names.add(name);
    if (data.length !== sizeOf(shape))
      throw new UsageError(
        `encodeSafetensors: "${name}" has ${data.length} elements, not those of ${formatShape(shape)}`,
      );
    const end = offset + data.length * storedSizeBytes(dtype);
    header.push([name, { dtype: NAMES[dtype], shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  // Written pair by pair: an object would put names like "0" first and swallow "__proto__".
  const json = `{${header.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join(",")}}`;
  const text = new TextEncoder().encode(json);
  const headerBytes = Math.ceil(text.length / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
  const file = new Uint8Array(LENGTH_BYTES + headerBytes + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, LENGTH_BYTES, LENGTH_BYTES + headerBytes);
  file.set(text, LENGTH_BYTES);
  let at = LENGTH_BYTES + headerBytes;
  for (const [, { dtype, data }] of ordered) {
    const bytes = encodeElements(data, dtype);
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

/** What can be written: elements as they compute, or in their natural arrays (64-bit integers as big integers). */
export interface WritableTensor extends TensorType {
  readonly data: ArrayLike<number | bigint>;
}

/** A tensor as the file has it. */
export interface StoredTensor {
  readonly dtype: StoredDType;
  readonly shape: Shape;
  /** A view into the file, little-endian. */
  readonly bytes: Uint8Array;
}

/**
 * Reads a file. F16 and BF16 become float32, exactly; all other types come as their own, those of 64 bits narrowed.
 *
 * @throws FormatError for anything that is not a whole, unambiguous safetensors file; UnsupportedError for element types
 * that are not offered (8-bit floats …) and DTypeError for 64-bit values beyond 32 bits, both naming the tensor.
 * @example
 * net.loadStateDict(decodeSafetensors(await readFile("weights.safetensors")).tensors);
 */
export function decodeSafetensors(file: Uint8Array | ArrayBuffer): Safetensors {
  const { stored, metadata } = openSafetensors(file);
  const tensors = new Map<string, TensorData>();
  for (const [name, { dtype, shape, bytes }] of stored) {
    if (dtype === "bool") checkTruth(bytes, name);
    const data = decodeElements(bytes, dtype, `safetensors: "${name}"`);
    // Halves come as float32, exactly: what reads weights computes with them in full precision.
    tensors.set(name, { dtype: dtype === "float16" ? "float32" : computedDType(dtype), shape, data });
  }
  return { tensors, metadata };
}

/** The same without converting anything. Throws as {@link decodeSafetensors} does, values aside. */
export function openSafetensors(file: Uint8Array | ArrayBuffer): {
  readonly stored: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, string>;
} {
  const bytes = file instanceof Uint8Array ? file : new Uint8Array(file);
  const headerBytes = headerLength(bytes);
  const dataStart = LENGTH_BYTES + headerBytes;
  const dataBytes = bytes.length - dataStart;
  const entries = parseHeader(bytes.subarray(LENGTH_BYTES, dataStart));
  const metadata = new Map<string, string>();
  const placed: Placed[] = [];
  for (const [name, entry] of Object.entries(entries)) {
    if (name === METADATA) for (const [key, text] of metadataPairs(entry)) metadata.set(key, text);
    else placed.push(place(name, entry, dataBytes));
  }

  placed.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of placed) {
    if (begin < covered)
      fail(`"${name}" begins at byte ${begin}, inside the tensor before it, which ends at ${covered}`);
    if (begin > covered) fail(`bytes ${covered} to ${begin}, before "${name}", belong to no tensor`);
    covered = end;
  }
  if (covered !== dataBytes) fail(`${dataBytes - covered} bytes after the last tensor belong to none`);

  const stored = new Map<string, StoredTensor>();
  for (const { name, type: dtype, shape, begin, end } of placed)
    stored.set(name, { dtype, shape, bytes: bytes.subarray(dataStart + begin, dataStart + end) });
  return { stored, metadata };
}

function headerLength(bytes: Uint8Array): number {
  if (bytes.length < LENGTH_BYTES) fail(`the file has ${bytes.length} bytes, too few for the length of its header`);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > BigInt(bytes.length - LENGTH_BYTES))
    fail(
      `the header should have ${length} bytes, and ${bytes.length - LENGTH_BYTES} are left; the file is cut short or no safetensors`,
    );
  if (length > BigInt(LARGEST_HEADER_BYTES))
    fail(`the header has ${length} bytes, more than the ${LARGEST_HEADER_BYTES} allowed`);
  return Number(length);
}

function parseHeader(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  if (bytes[0] !== 0x7b) fail("the header does not begin with {");
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(
      `safetensors: the header is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  refuseRepeatedKeys(text);
  return header as Readonly<Record<string, unknown>>;
}

/** JSON.parse lets the last of equal keys win in silence. `json` is known to be valid. */
function refuseRepeatedKeys(json: string): void {
  const open: (Set<string> | undefined)[] = []; // keys of the objects around; undefined for arrays
  for (let i = 0; i < json.length; i++) {
    const character = json[i]!;
    if (character === "{") open.push(new Set());
    else if (character === "[") open.push(undefined);
    else if (character === "}" || character === "]") open.pop();
    if (character !== '"') continue;
    const start = i++;
    while (json[i] !== '"') i += json[i] === "\\" ? 2 : 1;
    let next = i + 1;
    while (" \t\r\n".includes(json[next]!)) next++;
    const keys = open.at(-1);
    if (json[next] !== ":" || !keys) continue;
    const key = JSON.parse(json.slice(start, i + 1)) as string;
    if (keys.has(key)) fail(`the header says "${key}" twice`);
    keys.add(key);
  }
}

function metadataPairs(entry: unknown): [string, string][] {
  if (!isRecord(entry)) return fail(`${METADATA} is not an object`);
  return Object.entries(entry).map(([key, text]) =>
    typeof text === "string" ? [key, text] : fail(`${METADATA} "${key}" is not a string`),
  );
}

interface Placed {
  readonly name: string;
  readonly type: StoredDType;
  readonly shape: Shape;
  /** Bytes [begin, end) after the header. */
  readonly begin: number;
  readonly end: number;
}

function place(name: string, entry: unknown, dataBytes: number): Placed {
  if (!isRecord(entry)) return fail(`"${name}" is not an object`);
  const { dtype, shape, data_offsets: offsets, ...rest } = entry;
  const extra = Object.keys(rest);
  if (extra.length > 0) fail(`"${name}" has unknown fields: ${extra.join(", ")}`);
  if (typeof dtype !== "string") return fail(`"${name}" has no dtype`);
  const type = Object.hasOwn(READ, dtype) ? READ[dtype] : undefined;
  if (!type && REFUSED.includes(dtype))
    throw new UnsupportedError(`safetensors: "${name}" is ${dtype}; ${Object.keys(READ).join(", ")} can be read`);
  if (!type) return fail(`"${name}" has unknown dtype "${dtype}"`);
  if (!isCounts(shape)) return fail(`"${name}" has no shape of non-negative integers`);
  if (!isCounts(offsets) || offsets.length !== 2) return fail(`"${name}" has no data_offsets [begin, end]`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes) fail(`"${name}" lies at bytes ${begin} to ${end}, and there are ${dataBytes}`);
  // A zero extent makes any other one harmless; without one, no product beyond the file's size can match.
  const expected = sizeOf(shape) * storedSizeBytes(type);
  if (expected !== end - begin)
    fail(`"${name}" ${dtype} ${formatShape(shape)} takes ${expected} bytes, and it has ${end - begin}`);
  return { name, type, shape, begin, end };
}

function checkTruth(bytes: Uint8Array, name: string): void {
  const wrong = bytes.findIndex((byte) => byte > 1);
  if (wrong >= 0) fail(`"${name}" is BOOL, and its element ${wrong} is ${bytes[wrong]}`);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && (item as number) >= 0);
}

function fail(what: string): never {
  throw new FormatError(`safetensors: ${what}`);
}
