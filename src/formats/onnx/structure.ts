// The structure of a model that is too large to be held: the file with its large weights left out. It is read from front
// to back in windows; the bytes of a large initializer are passed over, and its tensor says instead where in the file they
// are, in the words ONNX has for data outside the file. What comes out is a small model file like any other.

import { FormatError, throwIfAborted } from "../../core/errors.ts";
import { pause } from "../../core/pause.ts";

/** Bytes that can be read anywhere: a file, a Blob, a server that answers Range requests, or the caller's own. */
export interface RandomAccess {
  readonly size: number;
  /** Exactly the `length` bytes from `offset`, in an array of their own. */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
}

/** The `location` of data that lies in the model's own file. No file has such a name. */
export const OWN_FILE = "\0";

const WINDOW_BYTES = 1 << 20;
/** What is neither weights nor nodes in number is never that large; a field that says so is damaged. */
const MOST_HELD_BYTES = 2 ** 31 - 1;

const MOST_VARINT_BYTES = 10;

const [VARINT, FIXED_64, DELIMITED, FIXED_32] = [0, 1, 2, 5];
const MODEL_GRAPH = 7;
const GRAPH_INITIALIZER = 5;
const [TENSOR_RAW_DATA, TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION] = [9, 13, 14];

/**
 * The model's file without the contents of initializers of `tensorBytes` and more.
 *
 * @throws FormatError where a field says that it is longer than what is around it.
 */
export async function readStructure(
  source: RandomAccess,
  tensorBytes: number,
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const reader = new WindowReader(source, onProgress, signal);
  const kept = new Kept();
  await eachField(reader, source.size, kept, async (field, end) => {
    if (field !== MODEL_GRAPH) return false;
    const graph = new Kept();
    await eachField(reader, end, graph, async (inner, innerEnd) => {
      if (inner !== GRAPH_INITIALIZER || innerEnd - reader.position < tensorBytes) return false;
      graph.message(GRAPH_INITIALIZER, await withoutContents(reader, innerEnd, tensorBytes));
      return true;
    });
    kept.message(MODEL_GRAPH, graph);
    return true;
  });
  return kept.bytes();
}

/** A TensorProto whose raw data, where that is large, is said to lie outside. */
async function withoutContents(reader: WindowReader, end: number, tensorBytes: number): Promise<Kept> {
  const tensor = new Kept();
  await eachField(reader, end, tensor, (field, fieldEnd) => {
    const [offset, length] = [reader.position, fieldEnd - reader.position];
    if (field !== TENSOR_RAW_DATA || length < tensorBytes) return Promise.resolve(false);
    for (const [key, value] of [
      ["location", OWN_FILE],
      ["offset", offset],
      ["length", length],
    ]) {
      const entry = new Kept();
      entry.text(1, String(key));
      entry.text(2, String(value));
      tensor.message(TENSOR_EXTERNAL_DATA, entry);
    }
    tensor.varints(TENSOR_DATA_LOCATION << 3, 1);
    reader.position = fieldEnd;
    return Promise.resolve(true);
  });
  return tensor;
}

/** Goes through the fields up to `end`; those with a length that `take` does not take are kept as they are. */
async function eachField(
  reader: WindowReader,
  end: number,
  kept: Kept,
  take: (field: number, end: number) => Promise<boolean>,
): Promise<void> {
  while (reader.position < end) {
    const tag = await reader.varint();
    const wire = tag & 7;
    if (wire === DELIMITED) {
      const length = await reader.varint();
      if (reader.position + length > end)
        throw new FormatError(`ONNX: a field declares ${length} bytes, ${end - reader.position} are left`);
      if (await take(tag >>> 3, reader.position + length)) continue;
      if (length > MOST_HELD_BYTES)
        throw new FormatError(`ONNX: field ${tag >>> 3} holds ${length} bytes and no weights that could be left out`);
      kept.varints(tag, length);
      kept.add(await reader.bytes(length));
    } else if (wire === VARINT) {
      kept.varints(tag);
      kept.add(await reader.varintBytes()); // as they are: a number would lose what is past 2⁵³
    } else if (wire === FIXED_64 || wire === FIXED_32) {
      kept.varints(tag);
      kept.add(await reader.bytes(wire === FIXED_64 ? 8 : 4));
    } else throw new FormatError(`ONNX: not an ONNX model, or damaged: a field of the unknown kind ${wire}`);
  }
  if (reader.position > end) throw new FormatError("ONNX: the file ends in the middle of a field");
}

/** What is kept of a message. */
class Kept {
  private readonly parts: Uint8Array[] = [];
  private length = 0;

  add(bytes: Uint8Array): void {
    this.parts.push(bytes);
    this.length += bytes.length;
  }

  /** Seven bits a byte, lowest first. */
  varints(...values: readonly number[]): void {
    const bytes: number[] = [];
    for (let value of values) {
      for (; value >= 128; value = Math.floor(value / 128)) bytes.push(value % 128 | 128);
      bytes.push(value);
    }
    this.add(Uint8Array.from(bytes));
  }

  text(field: number, text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.varints((field << 3) | DELIMITED, bytes.length);
    this.add(bytes);
  }

  message(field: number, body: Kept): void {
    this.varints((field << 3) | DELIMITED, body.length);
    for (const part of body.parts) this.add(part);
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }
}

/** Reads from front to back, a window at a time. */
class WindowReader {
  position = 0;
  private window: Uint8Array = new Uint8Array();
  private windowStart = 0;

  constructor(
    private readonly source: RandomAccess,
    private readonly onProgress: (done: number, total: number) => void,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** A tag or a length: exact up to 2⁵³. */
  async varint(): Promise<number> {
    return (await this.varintBytes()).reduceRight((value, byte) => value * 128 + (byte & 127), 0);
  }

  async varintBytes(): Promise<Uint8Array> {
    for (let length = 1; length <= MOST_VARINT_BYTES; length++)
      if ((await this.peek(length))[length - 1]! < 128) return this.bytes(length);
    throw new FormatError("ONNX: not an ONNX model, or damaged: a number of more than 64 bits");
  }

  async bytes(length: number): Promise<Uint8Array> {
    const bytes = (await this.peek(length)).slice(0, length);
    this.position += length;
    return bytes;
  }

  private async peek(length: number): Promise<Uint8Array> {
    const { size } = this.source;
    if (this.position + length > size) throw new FormatError("ONNX: the file ends in the middle of a field");
    const end = this.windowStart + this.window.length;
    if (this.position < this.windowStart || this.position + length > end) {
      const wanted = Math.min(size - this.position, Math.max(length, WINDOW_BYTES));
      this.window = await this.source.read(this.position, wanted, this.signal);
      this.windowStart = this.position;
      if (this.window.length < wanted) throw new FormatError(`ONNX: the file ends before its ${size} bytes`);
      this.onProgress(this.position + wanted, size);
      await pause();
      throwIfAborted(this.signal);
    }
    return this.window.subarray(this.position - this.windowStart);
  }
}
