// As much of ONNX's protobuf as a test of one operator needs: models, nodes, attributes and tensors. Field numbers are
// those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).

import { PbfReader } from "pbf";

/** Element types by their number in TensorProto.DataType. */
const DATA_TYPES: readonly string[] = [
  "undefined",
  "float32",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "int32",
  "int64",
  "string",
  "bool",
  "float16",
  "float64",
  "uint32",
  "uint64",
  "complex64",
  "complex128",
  "bfloat16",
];

export const dataTypeName = (type: number): string => DATA_TYPES[type] ?? `data type ${type}`;

/** A tensor as a file holds it; `values` is undefined for element types that are not read. */
export interface OnnxTensor {
  readonly name: string;
  readonly dataType: string;
  readonly shape: readonly number[];
  readonly values: readonly number[] | undefined;
}

export type OnnxAttribute = number | string | readonly number[] | readonly string[] | OnnxTensor | undefined;

export interface OnnxNode {
  readonly domain: string;
  readonly operator: string;
  /** Absent optional inputs are the empty string. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxModel {
  /** Version of each operator set, by domain; "" is ONNX's own. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  /** Names of the graph's inputs, those with an initializer included. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** Reads one message, field by field. */
function message<T>(reader: PbfReader, result: T, read: (tag: number, result: T, reader: PbfReader) => void): T {
  return reader.readMessage(read, result);
}

interface RawTensor {
  name: string;
  type: number;
  shape: number[];
  floats: number[];
  integers: number[];
  doubles: number[];
  raw: Uint8Array | undefined;
}

const emptyTensor = (): RawTensor => ({
  name: "",
  type: 0,
  shape: [],
  floats: [],
  integers: [],
  doubles: [],
  raw: undefined,
});

function readTensorField(tag: number, tensor: RawTensor, reader: PbfReader): void {
  if (tag === 1) reader.readPackedVarint(tensor.shape, true);
  else if (tag === 2) tensor.type = reader.readVarint();
  else if (tag === 4) reader.readPackedFloat(tensor.floats);
  else if (tag === 5 || tag === 7) reader.readPackedVarint(tensor.integers, true);
  else if (tag === 8) tensor.name = reader.readString();
  else if (tag === 9) tensor.raw = reader.readBytes();
  else if (tag === 10) reader.readPackedDouble(tensor.doubles);
  else if (tag === 11) reader.readPackedVarint(tensor.integers, false);
}

/** Bytes of an element, and how to read one, for the element types whose values are wanted. */
const RAW: Readonly<Record<string, readonly [number, (view: DataView, at: number) => number]>> = {
  float32: [4, (view, at) => view.getFloat32(at, true)],
  float64: [8, (view, at) => view.getFloat64(at, true)],
  int32: [4, (view, at) => view.getInt32(at, true)],
  uint32: [4, (view, at) => view.getUint32(at, true)],
  int64: [8, (view, at) => Number(view.getBigInt64(at, true))],
  uint64: [8, (view, at) => Number(view.getBigUint64(at, true))],
  bool: [1, (view, at) => view.getUint8(at)],
};

function finishTensor({ name, type, shape, floats, integers, doubles, raw }: RawTensor): OnnxTensor {
  const dataType = dataTypeName(type);
  const layout = RAW[dataType];
  if (!layout) return { name, dataType, shape, values: undefined };
  if (!raw) return { name, dataType, shape, values: [...floats, ...integers, ...doubles] };
  const [sizeBytes, read] = layout;
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const values = Array.from({ length: raw.byteLength / sizeBytes }, (_, i) => read(view, i * sizeBytes));
  return { name, dataType, shape, values };
}

const readTensorMessage = (reader: PbfReader): OnnxTensor =>
  finishTensor(message(reader, emptyTensor(), readTensorField));

interface RawAttribute {
  name: string;
  type: number;
  number: number;
  text: string;
  tensor: OnnxTensor | undefined;
  numbers: number[];
  texts: string[];
}

function readAttribute(reader: PbfReader): RawAttribute {
  const empty: RawAttribute = { name: "", type: 0, number: 0, text: "", tensor: undefined, numbers: [], texts: [] };
  return message(reader, empty, (tag, attribute) => {
    if (tag === 1) attribute.name = reader.readString();
    else if (tag === 2) attribute.number = reader.readFloat();
    else if (tag === 3) attribute.number = reader.readVarint(true);
    else if (tag === 4) attribute.text = reader.readString();
    else if (tag === 5) attribute.tensor = readTensorMessage(reader);
    else if (tag === 7) reader.readPackedFloat(attribute.numbers);
    else if (tag === 8) reader.readPackedVarint(attribute.numbers, true);
    else if (tag === 9) attribute.texts.push(reader.readString());
    else if (tag === 20) attribute.type = reader.readVarint();
  });
}

/** AttributeProto.AttributeType → the field that holds the value; undefined for kinds that are not read (graphs …). */
function attributeValue({ type, number, text, tensor, numbers, texts }: RawAttribute): OnnxAttribute {
  return [undefined, number, number, text, tensor, undefined, numbers, numbers, texts][type];
}

function readNode(reader: PbfReader): OnnxNode {
  const node = { domain: "", operator: "", inputs: [] as string[], outputs: [] as string[] };
  const attributes: Record<string, OnnxAttribute> = {};
  message(reader, node, (tag) => {
    if (tag === 1) node.inputs.push(reader.readString());
    else if (tag === 2) node.outputs.push(reader.readString());
    else if (tag === 4) node.operator = reader.readString();
    else if (tag === 5) {
      const attribute = readAttribute(reader);
      attributes[attribute.name] = attributeValue(attribute);
    } else if (tag === 7) node.domain = reader.readString();
  });
  return { ...node, attributes };
}

/** Name of a ValueInfoProto. */
function readName(reader: PbfReader): string {
  return message(reader, { name: "" }, (tag, value) => {
    if (tag === 1) value.name = reader.readString();
  }).name;
}

/** A serialised TensorProto. */
export function readOnnxTensor(bytes: Uint8Array): OnnxTensor {
  return finishTensor(new PbfReader(bytes).readFields(readTensorField, emptyTensor()));
}

/** A serialised ModelProto. */
export function readOnnxModel(bytes: Uint8Array): OnnxModel {
  const opsets: Record<string, number> = {};
  const nodes: OnnxNode[] = [];
  const initializers: OnnxTensor[] = [];
  const inputs: string[] = [];
  const outputs: string[] = [];
  new PbfReader(bytes).readFields((tag, _, reader) => {
    if (tag === 8) {
      const opset = message(reader, { domain: "", version: 0 }, (field, result) => {
        if (field === 1) result.domain = reader.readString();
        else if (field === 2) result.version = reader.readVarint(true);
      });
      opsets[opset.domain] = opset.version;
    } else if (tag === 7) {
      message(reader, undefined, (field) => {
        if (field === 1) nodes.push(readNode(reader));
        else if (field === 5) initializers.push(readTensorMessage(reader));
        else if (field === 11) inputs.push(readName(reader));
        else if (field === 12) outputs.push(readName(reader));
      });
    }
  }, undefined);
  return { opsets, nodes, initializers, inputs, outputs };
}
