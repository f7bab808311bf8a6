// Writing ONNX's protobuf: the counterpart of decode.ts, with the same field numbers
// (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3). Tensors are written as raw data.

import { PbfWriter } from "pbf";
import { UnsupportedError } from "../../core/errors.ts";
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

/** The bytes of a model file. Throws UnsupportedError for what the plain data cannot carry (sequence inputs …). */
export function encodeModel(model: ModelProto): Uint8Array<ArrayBuffer> {
  const writer = new PbfWriter();
  writeInt(writer, 1, model.irVersion);
  writeText(writer, 2, model.producer);
  writer.writeMessage(7, writeGraph, model.graph);
  for (const opset of Object.entries(model.opsets)) writer.writeMessage(8, writeOpset, opset);
  for (const entry of Object.entries(model.metadata)) writer.writeMessage(14, writeEntry, entry);
  for (const fn of model.functions) writer.writeMessage(25, writeFunction, fn);
  return new Uint8Array(writer.finish());
}

/** The bytes of a TensorProto on its own, as a test's `input_0.pb`. */
export function encodeTensor(tensor: TensorProto): Uint8Array<ArrayBuffer> {
  const writer = new PbfWriter();
  writeTensor(tensor, writer);
  return new Uint8Array(writer.finish());
}

function writeGraph(graph: GraphProto, writer: PbfWriter): void {
  for (const node of graph.nodes) writer.writeMessage(1, writeNode, node);
  writeText(writer, 2, graph.name);
  for (const tensor of graph.initializers.values()) writer.writeMessage(5, writeTensor, tensor);
  for (const info of graph.inputs) writer.writeMessage(11, writeValueInfo, info);
  for (const info of graph.outputs) writer.writeMessage(12, writeValueInfo, info);
}

function writeNode(node: NodeProto, writer: PbfWriter): void {
  for (const name of node.inputs) writer.writeStringField(1, name);
  for (const name of node.outputs) writer.writeStringField(2, name);
  writeText(writer, 3, node.name);
  writer.writeStringField(4, node.operator);
  for (const attribute of node.attributes) writer.writeMessage(5, writeAttribute, attribute);
  writeText(writer, 7, node.domain);
}

/** AttributeProto.AttributeType. */
const ATTRIBUTE_TYPES = { float: 1, int: 2, string: 3, tensor: 4, graph: 5, floats: 6, ints: 7, strings: 8 } as const;

function writeAttribute([name, attribute]: readonly [string, AttributeProto], writer: PbfWriter): void {
  writer.writeStringField(1, name);
  switch (attribute.kind) {
    case "float":
      writer.writeFloatField(2, attribute.value);
      break;
    case "int":
      writeInt(writer, 3, attribute.value);
      break;
    case "string":
      writer.writeStringField(4, attribute.value);
      break;
    case "tensor":
      writer.writeMessage(5, writeTensor, attribute.value);
      break;
    case "graph":
      writer.writeMessage(6, writeGraph, attribute.value);
      break;
    case "floats":
      writer.writePackedFloat(7, [...attribute.value]);
      break;
    case "ints":
      for (const value of attribute.value) writeInt(writer, 8, value);
      break;
    case "strings":
      for (const value of attribute.value) writer.writeStringField(9, value);
      break;
    case "reference":
      writer.writeStringField(21, attribute.value);
      writeInt(writer, 20, attribute.type);
      return;
    case "other":
      throw new UnsupportedError(`ONNX: attribute "${name}" (${attribute.value}) was not kept and cannot be written`);
  }
  writeInt(writer, 20, ATTRIBUTE_TYPES[attribute.kind]);
}

function writeTensor(tensor: TensorProto, writer: PbfWriter): void {
  const { name, dtype, shape, bytes, strings, external } = tensor;
  for (const extent of shape) writeInt(writer, 1, extent);
  writeInt(writer, 2, numberOf(dtype));
  const text = new TextEncoder();
  for (const value of strings ?? []) writer.writeBytesField(6, text.encode(value));
  writeText(writer, 8, name);
  if (external) {
    for (const entry of Object.entries(external)) writer.writeMessage(13, writeEntry, entry);
    writeInt(writer, 14, 1);
  } else if (!strings) writer.writeBytesField(9, bytes);
}

function writeValueInfo({ name, dtype, shape, kind }: ValueInfo, writer: PbfWriter): void {
  if (kind !== "tensor") throw new UnsupportedError(`ONNX: "${name}" is a ${kind}, whose type was not kept`);
  writer.writeStringField(1, name);
  if (dtype === "undefined") return;
  const writeDimension = (extent: number | string): void => {
    if (typeof extent === "number") writeInt(writer, 1, extent);
    else writeText(writer, 2, extent);
  };
  const writeShape = (extents: readonly (number | string)[]): void => {
    for (const extent of extents) writer.writeMessage(1, writeDimension, extent);
  };
  const writeTensorType = (): void => {
    writeInt(writer, 1, numberOf(dtype));
    if (shape) writer.writeMessage(2, writeShape, shape);
  };
  writer.writeMessage(2, () => writer.writeMessage(1, writeTensorType, undefined), undefined);
}

function writeFunction(fn: FunctionProto, writer: PbfWriter): void {
  writer.writeStringField(1, fn.name);
  for (const name of fn.inputs) writer.writeStringField(4, name);
  for (const name of fn.outputs) writer.writeStringField(5, name);
  for (const node of fn.nodes) writer.writeMessage(7, writeNode, node);
  for (const opset of Object.entries(fn.opsets)) writer.writeMessage(9, writeOpset, opset);
  writeText(writer, 10, fn.domain);
  for (const attribute of fn.attributes) writer.writeMessage(11, writeAttribute, attribute);
}

function writeOpset([domain, version]: readonly [string, number], writer: PbfWriter): void {
  writeText(writer, 1, domain);
  writeInt(writer, 2, version);
}

function writeEntry([key, value]: readonly [string, string], writer: PbfWriter): void {
  writer.writeStringField(1, key);
  writer.writeStringField(2, value);
}

/** A text, unless it is empty, which is what an absent one means. */
function writeText(writer: PbfWriter, field: number, text: string): void {
  if (text !== "") writer.writeStringField(field, text);
}

/** 2⁶³ - 1, which files use for "to the end", as a varint. A number can only come near it: read, it becomes 2⁶³. */
const LARGEST_INT64 = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];

function writeInt(writer: PbfWriter, field: number, value: number): void {
  if (value < 2 ** 63) writer.writeVarintField(field, value);
  else {
    writer.writeTag(field, 0);
    writer.realloc(LARGEST_INT64.length);
    writer.buf.set(LARGEST_INT64, writer.pos);
    writer.pos += LARGEST_INT64.length;
  }
}

function numberOf(dtype: OnnxDType): number {
  return DATA_TYPES.indexOf(dtype);
}
