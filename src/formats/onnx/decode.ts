// Reading ONNX's protobuf. Field numbers are those of onnx.proto3
// (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3). Tensors stay views into the file; a declared length is held
// against the bytes that are there before anything is made of it, so a damaged file costs no more than its own size.

import { PbfReader } from "pbf";
import { FormatError, NeuriteError } from "../../core/errors.ts";
import { isStoredDType, storedSizeBytes } from "../elements.ts";
import {
  DATA_TYPES,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type OnnxDType,
  type TensorProto,
  type ValueInfo,
} from "./model.ts";

/** A reader that never runs past its bytes. */
class Reader extends PbfReader {
  override readMessage<T>(readField: (tag: number, result: T, reader: PbfReader) => void, result: T): T {
    return this.readFields(readField, result, this.delimitedEnd());
  }

  override readBytes(): Uint8Array {
    const end = this.delimitedEnd();
    const bytes = this.buf.subarray(this.pos, end);
    this.pos = end;
    return bytes;
  }

  override readString(): string {
    const at = this.pos;
    this.delimitedEnd();
    this.pos = at;
    return super.readString();
  }

  override readPackedEnd(): number {
    return this.type === LENGTH_DELIMITED ? this.delimitedEnd() : this.pos + 1;
  }

  override nextField(end?: number): number {
    const field = super.nextField(end);
    if (this.pos > this.length) throw new FormatError("ONNX: the file ends in the middle of a field");
    return field;
  }

  /** Reads a length; where the field ends. */
  private delimitedEnd(): number {
    const length = this.readVarint();
    const end = this.pos + length;
    if (!(length >= 0 && end <= this.length))
      throw new FormatError(`ONNX: a field declares ${length} bytes, ${Math.max(0, this.length - this.pos)} are left`);
    return end;
  }
}

const LENGTH_DELIMITED = 2;

/**
 * Reads a model's file (a serialised ModelProto) as plain data; nothing is run, and external data stays outside.
 *
 * @throws FormatError for bytes that are none, or damaged.
 * @example
 * const { graph, opsets } = decodeModel(await readFile("net.onnx"));
 */
export function decodeModel(bytes: Uint8Array): ModelProto {
  return guarded("not an ONNX model", () => {
    const model = {
      irVersion: 0,
      producer: "",
      opsets: {} as Record<string, number>,
      graph: undefined as GraphProto | undefined,
      functions: [] as FunctionProto[],
      metadata: {} as Record<string, string>,
    };
    new Reader(bytes).readFields((tag, result, reader) => {
      if (tag === 1) result.irVersion = reader.readVarint(true);
      else if (tag === 2) result.producer = reader.readString();
      else if (tag === 7) result.graph = readGraph(reader);
      else if (tag === 8) readOpset(reader, result.opsets);
      else if (tag === 14) readEntry(reader, result.metadata);
      else if (tag === 25) result.functions.push(readFunction(reader));
    }, model);
    const { graph } = model;
    if (!graph) throw new FormatError("ONNX: the file holds no graph");
    if (Object.keys(model.opsets).length === 0) throw new FormatError("ONNX: the file imports no operator set");
    return { ...model, graph };
  });
}

/** A serialised TensorProto, e.g. of a test's `input_0.pb`. Throws {@link FormatError}. */
export function decodeTensor(bytes: Uint8Array): TensorProto {
  return guarded("not an ONNX tensor", () =>
    finishTensor(new Reader(bytes).readFields(readTensorField, emptyTensor())),
  );
}

/** Turns what a reader trips over in damaged bytes into a FormatError. */
function guarded<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof NeuriteError) throw error;
    throw new FormatError(`ONNX: ${what}, or damaged: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

interface RawTensor {
  name: string;
  type: number;
  shape: number[];
  floats: number[];
  integers: number[];
  doubles: number[];
  strings: Uint8Array[];
  raw: Uint8Array | undefined;
  /** `float_data` in one piece. */
  packed: Uint8Array | undefined;
  external: Record<string, string>;
  isExternal: boolean;
}

const emptyTensor = (): RawTensor => ({
  name: "",
  type: 0,
  shape: [],
  floats: [],
  integers: [],
  doubles: [],
  strings: [],
  raw: undefined,
  packed: undefined,
  external: {},
  isExternal: false,
});

function readTensorField(tag: number, tensor: RawTensor, reader: PbfReader): void {
  if (tag === 1) reader.readPackedVarint(tensor.shape, true);
  else if (tag === 2) tensor.type = reader.readVarint();
  else if (tag === 4) readFloats(reader, tensor);
  else if (tag === 5 || tag === 7) reader.readPackedVarint(tensor.integers, true);
  else if (tag === 6) tensor.strings.push(reader.readBytes());
  else if (tag === 8) tensor.name = reader.readString();
  else if (tag === 9) tensor.raw = reader.readBytes();
  else if (tag === 10) readPackedFixed(reader, tensor.doubles, 8, () => reader.readDouble());
  else if (tag === 11) reader.readPackedVarint(tensor.integers, false);
  else if (tag === 13) readEntry(reader, tensor.external);
  else if (tag === 14) tensor.isExternal = reader.readVarint() === 1;
}

/** A packed list is the tensor's bytes as they stand; those in pieces are read number by number. */
function readFloats(reader: PbfReader, tensor: RawTensor): void {
  if (reader.type === LENGTH_DELIMITED && !tensor.packed && tensor.floats.length === 0)
    tensor.packed = reader.readBytes();
  else {
    if (tensor.packed) {
      const { buffer, byteOffset, byteLength } = tensor.packed;
      const view = new DataView(buffer, byteOffset, byteLength);
      for (let at = 0; at + 4 <= byteLength; at += 4) tensor.floats.push(view.getFloat32(at, true));
      tensor.packed = undefined;
    }
    readPackedFixed(reader, tensor.floats, 4, () => reader.readFloat());
  }
}

/** Packed or single fixed-size numbers. */
function readPackedFixed(reader: PbfReader, into: number[], sizeBytes: number, read: () => number): void {
  const end = reader.type === LENGTH_DELIMITED ? reader.readPackedEnd() : reader.pos + sizeBytes;
  while (reader.pos < end) into.push(read());
}

/** Bytes an element takes in a file; undefined for types that are only named. */
export function elementBytesOf(dtype: OnnxDType): number | undefined {
  return isStoredDType(dtype) ? storedSizeBytes(dtype) : undefined;
}

function finishTensor(raw: RawTensor): TensorProto {
  const dtype = DATA_TYPES[raw.type];
  if (dtype === undefined) throw new FormatError(`ONNX: tensor "${raw.name}" has the unknown data type ${raw.type}`);
  const { name, shape } = raw;
  if (shape.some((extent) => !Number.isSafeInteger(extent) || extent < 0))
    throw new FormatError(`ONNX: tensor "${name}" has the shape [${shape.join(", ")}]`);
  const elementBytes = elementBytesOf(dtype);
  if (dtype === "string") {
    const text = new TextDecoder();
    return { name, dtype, shape, bytes: new Uint8Array(), strings: raw.strings.map((bytes) => text.decode(bytes)) };
  }
  if (raw.isExternal) return { name, dtype, shape, bytes: new Uint8Array(), external: raw.external };
  const bytes = raw.raw ?? (elementBytes === undefined ? new Uint8Array() : encodeTyped(raw, dtype));
  const count = shape.reduce((product, extent) => product * extent, 1);
  if (elementBytes !== undefined && bytes.length !== count * elementBytes)
    throw new FormatError(
      `ONNX: tensor "${name}", ${dtype} [${shape.join(", ")}], needs ${count * elementBytes} bytes, the file has ${bytes.length}`,
    );
  return { name, dtype, shape, bytes };
}

/** The typed fields (`float_data`, `int32_data` …) as the bytes that `raw_data` would have. */
function encodeTyped({ floats, packed, integers, doubles }: RawTensor, dtype: OnnxDType): Uint8Array {
  if (dtype === "float32") return packed ?? bytesOf(Float32Array.from(floats));
  if (dtype === "float64") return bytesOf(Float64Array.from(doubles));
  // The largest int64 has been rounded up to 2⁶³ on its way through a number.
  if (dtype === "int64")
    return bytesOf(BigInt64Array.from(integers, (value) => (value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value))));
  if (dtype === "uint64") return bytesOf(BigUint64Array.from(integers, (value) => BigInt.asUintN(64, BigInt(value))));
  const elementBytes = elementBytesOf(dtype);
  if (elementBytes === 4) return bytesOf(Uint32Array.from(integers));
  return elementBytes === 2 ? bytesOf(Uint16Array.from(integers)) : Uint8Array.from(integers);
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function readTensor(reader: PbfReader): TensorProto {
  return finishTensor(reader.readMessage(readTensorField, emptyTensor()));
}

interface RawAttribute {
  name: string;
  type: number;
  float: number;
  int: number;
  string: string;
  tensor: TensorProto | undefined;
  graph: GraphProto | undefined;
  floats: number[];
  ints: number[];
  strings: string[];
  reference: string;
}

function readAttribute(reader: PbfReader): readonly [string, AttributeProto] {
  const raw = reader.readMessage<RawAttribute>(
    (tag, result) => {
      if (tag === 1) result.name = reader.readString();
      else if (tag === 2) result.float = reader.readFloat();
      else if (tag === 3) result.int = reader.readVarint(true);
      else if (tag === 4) result.string = reader.readString();
      else if (tag === 5) result.tensor = readTensor(reader);
      else if (tag === 6) result.graph = readGraph(reader);
      else if (tag === 7) readPackedFixed(reader, result.floats, 4, () => reader.readFloat());
      else if (tag === 8) reader.readPackedVarint(result.ints, true);
      else if (tag === 9) result.strings.push(reader.readString());
      else if (tag === 20) result.type = reader.readVarint();
      else if (tag === 21) result.reference = reader.readString();
    },
    {
      name: "",
      type: 0,
      float: 0,
      int: 0,
      string: "",
      tensor: undefined,
      graph: undefined,
      floats: [],
      ints: [],
      strings: [],
      reference: "",
    },
  );
  const { name, type, reference } = raw;
  return [name, reference === "" ? attributeOf(raw) : { kind: "reference", value: reference, type }];
}

/** By AttributeProto.AttributeType. */
function attributeOf({
  name,
  type,
  float,
  int,
  string,
  tensor,
  graph,
  floats,
  ints,
  strings,
}: RawAttribute): AttributeProto {
  switch (type) {
    case 1:
      return { kind: "float", value: float };
    case 2:
      return { kind: "int", value: int };
    case 3:
      return { kind: "string", value: string };
    case 4:
      if (tensor) return { kind: "tensor", value: tensor };
      break;
    case 5:
      if (graph) return { kind: "graph", value: graph };
      break;
    case 6:
      return { kind: "floats", value: floats };
    case 7:
      return { kind: "ints", value: ints };
    case 8:
      return { kind: "strings", value: strings };
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
    case 14:
      return { kind: "other", value: `attribute type ${type}` };
  }
  throw new FormatError(`ONNX: attribute "${name}" has type ${type} and no value of it`);
}

function readNode(reader: PbfReader): NodeProto {
  const attributes = new Map<string, AttributeProto>();
  const node = { name: "", operator: "", domain: "", inputs: [] as string[], outputs: [] as string[], attributes };
  reader.readMessage((tag, result) => {
    if (tag === 1) result.inputs.push(reader.readString());
    else if (tag === 2) result.outputs.push(reader.readString());
    else if (tag === 3) result.name = reader.readString();
    else if (tag === 4) result.operator = reader.readString();
    else if (tag === 5) attributes.set(...readAttribute(reader));
    else if (tag === 7) result.domain = reader.readString();
  }, node);
  return node.domain === "ai.onnx" ? { ...node, domain: "" } : node;
}

function readGraph(reader: PbfReader): GraphProto {
  const graph = {
    name: "",
    nodes: [] as NodeProto[],
    initializers: new Map<string, TensorProto>(),
    inputs: [] as ValueInfo[],
    outputs: [] as ValueInfo[],
  };
  return reader.readMessage((tag, result) => {
    if (tag === 1) result.nodes.push(readNode(reader));
    else if (tag === 2) result.name = reader.readString();
    else if (tag === 5) {
      const tensor = readTensor(reader);
      result.initializers.set(tensor.name, tensor);
    } else if (tag === 11) result.inputs.push(readValueInfo(reader));
    else if (tag === 12) result.outputs.push(readValueInfo(reader));
    else if (tag === 15) throw new FormatError("ONNX: sparse initializers are not supported; store them dense");
  }, graph);
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function readValueInfo(reader: PbfReader): ValueInfo {
  const info: Mutable<ValueInfo> = { name: "", dtype: "undefined", shape: undefined, kind: "tensor" };
  return reader.readMessage((tag, result) => {
    if (tag === 1) result.name = reader.readString();
    else if (tag === 2) readType(reader, result);
  }, info);
}

/** TypeProto: which kind of value, and a tensor's type and shape. */
function readType(reader: PbfReader, info: Mutable<ValueInfo>): void {
  const kinds: Readonly<Record<number, string>> = { 4: "sequence", 5: "map", 8: "sparse tensor", 9: "optional" };
  reader.readMessage((tag) => {
    if (tag === 1)
      reader.readMessage((field) => {
        if (field === 1) info.dtype = DATA_TYPES[reader.readVarint()] ?? "undefined";
        else if (field === 2) info.shape = readShape(reader);
      }, undefined);
    else if (tag in kinds) info.kind = kinds[tag]!;
  }, undefined);
}

function readShape(reader: PbfReader): (number | string)[] {
  return reader.readMessage(
    (tag, shape) => {
      if (tag !== 1) return;
      const extent = reader.readMessage<{ value: number | string }>(
        (field, result) => {
          if (field === 1) result.value = reader.readVarint(true);
          else if (field === 2) result.value = reader.readString();
        },
        { value: "" },
      );
      shape.push(typeof extent.value === "number" && extent.value < 0 ? "" : extent.value);
    },
    [] as (number | string)[],
  );
}

function readFunction(reader: PbfReader): FunctionProto {
  const attributes = new Map<string, AttributeProto>();
  const result = {
    name: "",
    domain: "",
    inputs: [] as string[],
    outputs: [] as string[],
    nodes: [] as NodeProto[],
    attributes,
    opsets: {} as Record<string, number>,
  };
  return reader.readMessage((tag, fn) => {
    if (tag === 1) fn.name = reader.readString();
    else if (tag === 4) fn.inputs.push(reader.readString());
    else if (tag === 5) fn.outputs.push(reader.readString());
    else if (tag === 7) fn.nodes.push(readNode(reader));
    else if (tag === 9) readOpset(reader, fn.opsets);
    else if (tag === 10) fn.domain = reader.readString();
    else if (tag === 11) attributes.set(...readAttribute(reader));
  }, result);
}

function readOpset(reader: PbfReader, opsets: Record<string, number>): void {
  const opset = { domain: "", version: 0 };
  reader.readMessage((tag, result) => {
    if (tag === 1) result.domain = reader.readString();
    else if (tag === 2) result.version = reader.readVarint(true);
  }, opset);
  opsets[opset.domain === "ai.onnx" ? "" : opset.domain] = opset.version;
}

/** A StringStringEntryProto. */
function readEntry(reader: PbfReader, into: Record<string, string>): void {
  const entry = { key: "", value: "" };
  reader.readMessage((tag, result) => {
    if (tag === 1) result.key = reader.readString();
    else if (tag === 2) result.value = reader.readString();
  }, entry);
  Object.defineProperty(into, entry.key, { value: entry.value, enumerable: true, configurable: true, writable: true });
}
