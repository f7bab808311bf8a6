// Where a model's bytes come from: memory, a URL, a File or Blob, in Node a path, or anything that can be read in parts.
// External data is read from beside it. Small files are read at once; of large ones only the structure (structure.ts), and
// the weights when they are needed.

import { isWide } from "../../core/dtype.ts";
import { FormatError, UnsupportedError, UsageError, throwIfAborted } from "../../core/errors.ts";
import { sizeOf } from "../../core/shape.ts";
import { computedDType, isStoredDType } from "../elements.ts";
import { elementBytesOf } from "./decode.ts";
import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto } from "./model.ts";
import { OWN_FILE, readStructure, type RandomAccess } from "./structure.ts";

/** Bytes, a URL, a File or Blob, or whatever can be read in parts; in Node also a path. */
export type OnnxSource = Uint8Array | ArrayBuffer | URL | string | Blob | RandomAccess;

/** What is left in the file until it is needed. */
export interface StreamOptions {
  /** Files of more bytes than this are not read as a whole. Default 128 MiB; Infinity reads every file at once. */
  readonly fileBytes?: number;
  /** Initializers of fewer bytes are read with the structure all the same. Default 64 KiB. */
  readonly tensorBytes?: number;
}

const FILE_BYTES = 128 * 2 ** 20;
const TENSOR_BYTES = 64 * 2 ** 10;

type Progress = (done: number, total: number | undefined) => void;

/** A file's bytes, without weights that are left where they are, and how to find the files beside it. */
export interface ReadFile {
  readonly bytes: Uint8Array;
  /** The model with the data that lies in other files, or in parts of its own that were passed over. */
  withExternalData(proto: ModelProto): Promise<ModelProto>;
}

/** A file that was opened: its bytes, where they have all been read, or a way to read parts. */
type Opened = Uint8Array | RandomAccess;

export async function readSource(
  source: OnnxSource,
  onProgress: Progress,
  signal?: AbortSignal,
  { fileBytes = FILE_BYTES, tensorBytes = TENSOR_BYTES }: StreamOptions = {},
): Promise<ReadFile> {
  const files = await filesOf(source, fileBytes, signal);
  const opened = await files.open(onProgress);
  const bytes = opened instanceof Uint8Array ? opened : await readStructure(opened, tensorBytes, onProgress, signal);
  const beside = new Map<string, Promise<Opened>>([[OWN_FILE, Promise.resolve(opened)]]);
  const find = (location: string): Promise<Opened> | undefined => {
    if (!beside.has(location) && files.beside) beside.set(location, files.beside(location));
    return beside.get(location);
  };
  return { bytes, withExternalData: (proto) => resolveExternal(proto, find, tensorBytes, signal) };
}

/** A model's own file, and those that lie beside it. */
interface Files {
  open(onProgress: Progress): Promise<Opened>;
  beside?(location: string): Promise<Opened>;
}

async function filesOf(source: OnnxSource, fileBytes: number, signal: AbortSignal | undefined): Promise<Files> {
  if (source instanceof Uint8Array) return { open: () => Promise.resolve(source) };
  if (source instanceof ArrayBuffer) return { open: () => Promise.resolve(new Uint8Array(source)) };
  if (typeof Blob !== "undefined" && source instanceof Blob)
    return {
      open: (onProgress) =>
        source.size > fileBytes
          ? Promise.resolve(accessOf(source))
          : drain(source.stream(), source.size, onProgress, signal),
    };
  if (typeof source === "object" && "read" in source)
    return {
      open: async (onProgress) => {
        if (source.size > fileBytes) return source;
        const bytes = await source.read(0, source.size, signal);
        onProgress(source.size, source.size);
        return bytes;
      },
    };
  if (typeof source !== "string" && !(source instanceof URL))
    throw new UsageError("load: expected bytes, a URL, a File or Blob, { size, read }, or a path");
  const isPage = typeof document !== "undefined" || typeof WorkerGlobalScope !== "undefined";
  const text = String(source);
  if (isPage || /^(https?|blob|data):/.test(text)) {
    const url = new URL(text, isPage ? globalThis.location.href : undefined);
    return {
      open: (onProgress) => openUrl(url, fileBytes, onProgress, signal),
      beside: (location) => openUrl(new URL(location, url), fileBytes, () => undefined, signal),
    };
  }
  const { openPath, besidePath } = await import("./nodeFiles.ts");
  return {
    open: (onProgress) => openPath(source, fileBytes, onProgress, signal),
    beside: (location) =>
      openPath(besidePath(source, location), fileBytes, () => undefined, signal).catch((cause: unknown) => {
        throwIfAborted(signal);
        throw new FormatError(`ONNX: external data "${location}" cannot be read: ${(cause as Error).message}`, {
          cause,
        });
      }),
  };
}

declare const WorkerGlobalScope: unknown;

function accessOf(blob: Blob): RandomAccess {
  return {
    size: blob.size,
    read: async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
  };
}

/** The whole of what a server has, or, where that is large and the server has parts, the way to them. */
async function openUrl(
  url: URL,
  fileBytes: number,
  onProgress: Progress,
  signal: AbortSignal | undefined,
): Promise<Opened> {
  const response = await fetchPart(url, undefined, signal);
  const length = Number(response.headers.get("content-length"));
  const isPlain = response.headers.get("content-encoding") === null;
  if (isPlain && length > fileBytes && response.headers.get("accept-ranges") === "bytes") {
    await response.body!.cancel();
    const read = async (offset: number, count: number, stop?: AbortSignal): Promise<Uint8Array> => {
      const part = await fetchPart(url, `bytes=${offset}-${offset + count - 1}`, stop);
      if (part.status !== 206) throw new UsageError(`load: ${url.href} no longer answers with parts of the file`);
      return new Uint8Array(await part.arrayBuffer());
    };
    return { size: length, read };
  }
  return drain(response.body!, isPlain && length > 0 ? length : undefined, onProgress, signal);
}

async function fetchPart(url: URL, range: string | undefined, signal: AbortSignal | undefined): Promise<Response> {
  const response = await fetch(url, { ...(signal && { signal }), ...(range && { headers: { range } }) });
  if (!response.ok || !response.body)
    throw new UsageError(`load: ${url.href} answered ${response.status} ${response.statusText}`);
  return response;
}

/** All bytes of a stream, chunk by chunk. */
async function drain(
  stream: ReadableStream<Uint8Array>,
  total: number | undefined,
  onProgress: Progress,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let done = 0;
  const reader = stream.getReader();
  for (;;) {
    const { value, done: isLast } = await reader.read();
    throwIfAborted(signal);
    if (isLast) break;
    chunks.push(value);
    done += value.length;
    onProgress(done, total);
  }
  const bytes = allocate(done);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function allocate(count: number): Uint8Array {
  try {
    return new Uint8Array(count);
  } catch (cause) {
    throw new UnsupportedError(
      `load: ${count} bytes cannot be held at once; load the model from a File, a path, or a server that answers Range requests`,
      { cause },
    );
  }
}

async function resolveExternal(
  proto: ModelProto,
  find: (location: string) => Promise<Opened> | undefined,
  tensorBytes: number,
  signal: AbortSignal | undefined,
): Promise<ModelProto> {
  const tensors = new Map<TensorProto, TensorProto>();
  for (const tensor of externalTensors(proto.graph))
    tensors.set(tensor, await resolveTensor(tensor, find, tensorBytes, signal));
  return tensors.size === 0 ? proto : { ...proto, graph: replaceTensors(proto.graph, tensors) };
}

function* externalTensors(graph: GraphProto): Iterable<TensorProto> {
  for (const tensor of graph.initializers.values()) if (tensor.external) yield tensor;
  for (const node of graph.nodes)
    for (const { kind, value } of node.attributes.values()) {
      if (kind === "graph") yield* externalTensors(value);
      if (kind === "tensor" && value.external) yield value;
    }
}

async function resolveTensor(
  { name, dtype, shape, external }: TensorProto,
  find: (location: string) => Promise<Opened> | undefined,
  tensorBytes: number,
  signal: AbortSignal | undefined,
): Promise<TensorProto> {
  const location = external?.["location"] ?? "";
  const fail = (why: string): never => {
    throw new FormatError(`ONNX: external data of tensor "${name}": ${why}`);
  };
  if (location === "" || /^([/\\]|[a-z]+:)|(^|[/\\])\.\.([/\\]|$)/i.test(location))
    fail(`"${location}" is no file beside the model`);
  const bytesNeeded = sizeOf(shape) * (elementBytesOf(dtype) ?? NaN);
  const offset = Number(external?.["offset"] ?? 0);
  const length = external?.["length"] === undefined ? undefined : Number(external["length"]);
  if (!(Number.isSafeInteger(offset) && offset >= 0 && (length === undefined || Number.isSafeInteger(length))))
    fail(`offset ${offset} and length ${length ?? "to the end"} are no places in a file`);
  if (length !== undefined && length !== bytesNeeded) fail(`${length} bytes, ${bytesNeeded} are needed`);
  const opened = await find(location);
  if (!opened) return fail(`it lies in "${location}"; load the model from a path or URL`);
  const present = Math.max(0, (opened instanceof Uint8Array ? opened.length : opened.size) - offset);
  if (!(present >= bytesNeeded)) fail(`"${location}" has ${present} bytes from ${offset}, ${bytesNeeded} are needed`);
  if (opened instanceof Uint8Array) return { name, dtype, shape, bytes: opened.subarray(offset, offset + bytesNeeded) };
  const readBytes = async (first: number, count: number): Promise<Uint8Array> => {
    const bytes = await opened.read(offset + first, count);
    if (bytes.length !== count) fail(`${count} bytes were asked for and ${bytes.length} came; has the file changed?`);
    return bytes;
  };
  throwIfAborted(signal);
  // 64-bit numbers are shapes and indices, which the host computes with.
  const isWeight = isStoredDType(dtype) && !isWide(computedDType(dtype));
  if (bytesNeeded < tensorBytes || !isWeight) return { name, dtype, shape, bytes: await readBytes(0, bytesNeeded) };
  return { name, dtype, shape, bytes: new Uint8Array(), readBytes };
}

function replaceTensors(graph: GraphProto, tensors: ReadonlyMap<TensorProto, TensorProto>): GraphProto {
  const replaced = (tensor: TensorProto): TensorProto => tensors.get(tensor) ?? tensor;
  const attribute = (given: AttributeProto): AttributeProto =>
    given.kind === "graph"
      ? { kind: "graph", value: replaceTensors(given.value, tensors) }
      : given.kind === "tensor"
        ? { kind: "tensor", value: replaced(given.value) }
        : given;
  const node = (given: NodeProto): NodeProto => ({
    ...given,
    attributes: new Map([...given.attributes].map(([name, value]) => [name, attribute(value)])),
  });
  return {
    ...graph,
    initializers: new Map([...graph.initializers].map(([name, tensor]) => [name, replaced(tensor)])),
    nodes: graph.nodes.map(node),
  };
}
