// Where a model's bytes come from: memory, a URL, a File or Blob, or, in Node, a path. External data is read from beside it.

import { FormatError, UsageError, throwIfAborted } from "../../core/errors.ts";
import { elementBytesOf } from "./decode.ts";
import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto } from "./model.ts";

/** Bytes, a URL, a File or Blob; in Node also a path. */
export type OnnxSource = Uint8Array | ArrayBuffer | URL | string | Blob;

type Progress = (done: number, total: number | undefined) => void;

/** A file's bytes, and how to find the files beside it. */
export interface ReadFile {
  readonly bytes: Uint8Array;
  /** The model with the data that lies in other files. */
  withExternalData(proto: ModelProto): Promise<ModelProto>;
}

export async function readSource(source: OnnxSource, onProgress: Progress, signal?: AbortSignal): Promise<ReadFile> {
  const { bytes, beside } = await readBytes(source, onProgress, signal);
  return { bytes, withExternalData: (proto) => resolveExternal(proto, beside) };
}

/** Reads `length` bytes (all when undefined) from `offset` of a file named relative to the model. */
type ReadBeside = (location: string, offset: number, length: number | undefined) => Promise<Uint8Array>;

async function readBytes(
  source: OnnxSource,
  onProgress: Progress,
  signal: AbortSignal | undefined,
): Promise<{ bytes: Uint8Array; beside: ReadBeside | undefined }> {
  if (source instanceof Uint8Array) return { bytes: source, beside: undefined };
  if (source instanceof ArrayBuffer) return { bytes: new Uint8Array(source), beside: undefined };
  if (typeof Blob !== "undefined" && source instanceof Blob)
    return { bytes: await drain(source.stream(), source.size, onProgress, signal), beside: undefined };
  if (typeof source !== "string" && !(source instanceof URL))
    throw new UsageError("load: expected bytes, a URL, a File or Blob, or a path");
  const isPage = typeof document !== "undefined" || typeof WorkerGlobalScope !== "undefined";
  const text = String(source);
  if (isPage || /^(https?|blob|data):/.test(text)) {
    const url = new URL(text, isPage ? globalThis.location.href : undefined);
    return {
      bytes: await fetchBytes(url, onProgress, signal),
      beside: async (location, offset, length) => {
        const all = await fetchBytes(new URL(location, url), () => undefined, signal);
        return all.subarray(offset, length === undefined ? undefined : offset + length);
      },
    };
  }
  const { readPath, readBeside } = await import("./nodeFiles.ts");
  return { bytes: await readPath(source, onProgress, signal), beside: readBeside(source) };
}

declare const WorkerGlobalScope: unknown;

async function fetchBytes(url: URL, onProgress: Progress, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const response = await fetch(url, signal ? { signal } : {});
  if (!response.ok || !response.body)
    throw new UsageError(`load: ${url.href} answered ${response.status} ${response.statusText}`);
  const length = Number(response.headers.get("content-length"));
  const isPlain = response.headers.get("content-encoding") === null;
  return drain(response.body, isPlain && length > 0 ? length : undefined, onProgress, signal);
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
  const bytes = new Uint8Array(done);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

async function resolveExternal(proto: ModelProto, beside: ReadBeside | undefined): Promise<ModelProto> {
  const tensors = new Map<TensorProto, TensorProto>();
  for (const tensor of externalTensors(proto.graph)) tensors.set(tensor, await readExternal(tensor, beside));
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

async function readExternal(tensor: TensorProto, beside: ReadBeside | undefined): Promise<TensorProto> {
  const { name, dtype, shape, external } = tensor;
  const location = external?.["location"] ?? "";
  const fail = (why: string): never => {
    throw new FormatError(`ONNX: external data of tensor "${name}": ${why}`);
  };
  if (location === "" || /^([/\\]|[a-z]+:)|(^|[/\\])\.\.([/\\]|$)/i.test(location))
    fail(`"${location}" is no file beside the model`);
  if (!beside) return fail(`it lies in "${location}"; load the model from a path or URL`);
  const bytesNeeded = shape.reduce((product, extent) => product * extent, 1) * (elementBytesOf(dtype) ?? NaN);
  const offset = Number(external?.["offset"] ?? 0);
  const length = external?.["length"] === undefined ? undefined : Number(external["length"]);
  if (!(Number.isSafeInteger(offset) && offset >= 0 && (length === undefined || Number.isSafeInteger(length))))
    fail(`offset ${offset} and length ${length ?? "to the end"} are no places in a file`);
  if (length !== undefined && length !== bytesNeeded) fail(`${length} bytes, ${bytesNeeded} are needed`);
  const bytes = await beside(location, offset, bytesNeeded);
  if (bytes.length !== bytesNeeded)
    fail(`"${location}" has ${bytes.length} bytes from ${offset}, ${bytesNeeded} are needed`);
  return { name, dtype, shape, bytes };
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
