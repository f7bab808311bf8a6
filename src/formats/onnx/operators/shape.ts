// Operators that move elements or make them from nothing. Most of what ONNX passes them as inputs (shapes, axes, pads) a plan
// must know, so it is asked for as numbers and never enters the graph; earlier versions gave the same as attributes.

import { broadcastShapes } from "../../../core/broadcast.ts";
import { storeValues, type DType } from "../../../core/dtype.ts";
import { normalizeAxes, normalizeAxis, sizeOf } from "../../../core/shape.ts";
import { filled, type TensorData } from "../../../core/tensorData.ts";
import { col2Im } from "../../../ops/col2Im.ts";
import { concatenate } from "../../../ops/concat.ts";
import { depthToSpace, spaceToDepth } from "../../../ops/depth.ts";
import { expandTo } from "../../../ops/expand.ts";
import type { Operand } from "../../../ops/operator.ts";
import { flatten, reshape, reshapeTo } from "../../../ops/reshape.ts";
import { reverseSequence } from "../../../ops/reverseSequence.ts";
import { pad, slice, splitAxis } from "../../../ops/slice.ts";
import { tile } from "../../../ops/tile.ts";
import { permute } from "../../../ops/transpose.ts";
import { eyeLike, trilu } from "../../../ops/triangle.ts";
import { direct, type Call, type Handlers } from "../handler.ts";

/** A list that is input `place` from opset `since` on, and was the attribute `name` before. */
function listOf(call: Call, place: number, name: string, since: number): readonly number[] | undefined {
  return call.opset >= since ? call.numbers(place) : call.ints(name);
}

/** The same where it may not be left out. */
function requiredList(call: Call, place: number, name: string, since = 0): readonly number[] {
  const list = listOf(call, place, name, since);
  if (!list) throw call.malformed(`${name} is missing`);
  return list;
}

/** An int64 tensor, known before anything runs. */
function integers(call: Call, values: readonly number[], rank = 1): Operand {
  const shape = rank === 0 ? [] : [values.length];
  return call.build.constant({ dtype: "int64", shape, data: storeValues(values, "int64", call.node.operator) });
}

/** A tensor of one value as large as you like: a scalar that is stretched where it is read. */
function constantOf(call: Call, scalar: TensorData, shape: readonly number[]): Operand {
  return expandTo(call.build, call.build.constant({ ...scalar, shape: [] }), shape);
}

/** Splits as even as ONNX has them: all parts of one extent but the last, which has what is left. */
function evenSplit(extent: number, count: number): number[] {
  const part = Math.ceil(extent / count);
  return Array.from({ length: count }, (_, i) => Math.max(0, Math.min(part, extent - i * part)));
}

function splitSizes(call: Call, extent: number): readonly number[] {
  const given = listOf(call, 1, "split", 13);
  if (given) return given;
  const count = call.opset >= 18 ? call.int("num_outputs", call.outputs) : call.outputs;
  if (call.opset < 18 && extent % count !== 0) throw call.malformed(`${extent} elements are no ${count} equal parts`);
  return evenSplit(extent, count);
}

/** Numbers from `start` in steps of `delta`, before `limit`. */
function rangeValues(start: number, limit: number, delta: number): number[] {
  const count = Math.max(0, Math.ceil((limit - start) / delta));
  return Array.from({ length: count }, (_, i) => start + i * delta);
}

/** The tensor a Constant node holds, in whichever of its attributes. */
function constantTensor(call: Call): TensorData {
  const stored = (dtype: DType, values: readonly number[], shape: readonly number[]): TensorData => ({
    dtype,
    shape,
    data: storeValues(values, dtype, "Constant"),
  });
  const [given] = call.node.attributes.keys();
  switch (given) {
    case "value":
      return call.tensor("value")!;
    case "value_float":
      return stored("float32", [call.float("value_float", 0)], []);
    case "value_int":
      return stored("int64", [call.int("value_int", 0)], []);
    case "value_floats": {
      const values = call.floats("value_floats", [])!;
      return stored("float32", values, [values.length]);
    }
    case "value_ints": {
      const values = call.ints("value_ints", [])!;
      return stored("int64", values, [values.length]);
    }
    case undefined:
      throw call.malformed("a constant without a value");
    default:
      throw call.unsupported(`a constant given as ${given}`);
  }
}

export const shape: Handlers = {
  CenterCropPad: (call) => {
    const input = call.operand(0);
    const target = requiredList(call, 1, "shape");
    const axes = call.ints("axes") ?? target.map((_, axis) => axis);
    const missing = axes.map(
      (axis, i) => target[i]! - input.shape[normalizeAxis(axis, input.shape.length, "CenterCropPad")]!,
    );
    // What is too much or missing is halved; the odd element is the one at the end.
    const before = missing.map((count) => Math.sign(count) * Math.floor(Math.abs(count) / 2));
    const pads = [...before, ...missing.map((count, i) => count - before[i]!)];
    return axes.length === 0 ? input : call.build.apply(pad, [input], { pads, axes });
  },

  Col2Im: (call) => {
    const input = call.operand(0);
    return call.build.apply(col2Im, [input], {
      image_shape: requiredList(call, 1, "image_shape"),
      block_shape: requiredList(call, 2, "block_shape"),
      dilations: call.ints("dilations", [])!,
      pads: call.ints("pads", [])!,
      strides: call.ints("strides", [])!,
    });
  },

  Concat: (call) => {
    const inputs = call.operands().filter((input) => input !== undefined);
    return concatenate(call.build, inputs, call.int("axis", 1));
  },

  Constant: (call) => call.build.constant(constantTensor(call)),

  ConstantOfShape: (call) => {
    const extents = requiredList(call, 0, "input");
    return constantOf(call, call.tensor("value") ?? filled(0, []), extents);
  },

  DepthToSpace: direct(depthToSpace),

  Expand: (call) => {
    const input = call.operand(0);
    return expandTo(call.build, input, broadcastShapes([input.shape, requiredList(call, 1, "shape")], "Expand"));
  },

  EyeLike: (call) => {
    const input = call.operand(0);
    return call.build.apply(eyeLike, [input], { dtype: call.dtype("dtype", input.dtype), k: call.int("k", 0) });
  },

  Flatten: direct(flatten),

  Pad: (call) => {
    const data = call.operand(0);
    const mode = call.string("mode", "constant");
    const value = call.opset < 11 ? call.float("value", 0) : undefined;
    const given = call.opset < 11 || mode !== "constant" ? undefined : call.optional(2);
    const fill = value !== undefined ? call.build.constant(filled(value, [], data.dtype)) : given;
    const pads = requiredList(call, 1, "pads", 11);
    const axes = call.numbers(3);
    // No axes at all is a list of none, and not the operator's default of all.
    if (pads.every((count) => count === 0) || axes?.length === 0) return data;
    return call.build.apply(pad, fill ? [data, fill] : [data], { pads, axes: axes ?? [], mode });
  },

  Range: (call) => {
    const [start, limit, delta] = [0, 1, 2].map((i) => call.constant(i)) as [TensorData, TensorData, TensorData];
    const { dtype } = start;
    const values = rangeValues(start.data[0]!, limit.data[0]!, delta.data[0]!);
    return call.build.constant({ dtype, shape: [values.length], data: storeValues(values, dtype, "Range") });
  },

  Reshape: (call) => {
    const data = call.operand(0);
    const target = requiredList(call, 1, "shape", 5);
    return call.build.apply(reshape, [data], { shape: target, allowzero: call.int("allowzero", 0) });
  },

  ReverseSequence: direct(reverseSequence),

  Shape: (call) => {
    const extents = call.operand(0).shape;
    return integers(call, extents.slice(call.int("start", 0), call.int("end", extents.length)));
  },

  Size: (call) => integers(call, [sizeOf(call.operand(0).shape)], 0),

  Slice: (call) => {
    const data = call.operand(0);
    const starts = requiredList(call, 1, "starts", 10);
    const ends = requiredList(call, 2, "ends", 10);
    const axes = listOf(call, 3, "axes", 10) ?? [];
    const steps = call.numbers(4) ?? [];
    return starts.length === 0 ? data : call.build.apply(slice, [data], { starts, ends, axes, steps });
  },

  SpaceToDepth: direct(spaceToDepth),

  Split: (call) => {
    const input = call.operand(0);
    const axis = normalizeAxis(call.int("axis", 0), input.shape.length, "Split");
    return splitAxis(call.build, input, axis, splitSizes(call, input.shape[axis]!), (part) => call.wants(part));
  },

  Squeeze: (call) => {
    const data = call.operand(0);
    const given = listOf(call, 1, "axes", 13);
    const dropped = given
      ? normalizeAxes(given, data.shape.length, "Squeeze")
      : [...data.shape.keys()].filter((axis) => data.shape[axis] === 1);
    if (dropped.some((axis) => data.shape[axis] !== 1))
      throw call.malformed(`axes [${dropped.join(", ")}] of [${data.shape.join(", ")}] are not all of extent 1`);
    return reshapeTo(
      call.build,
      data,
      data.shape.filter((_, axis) => !dropped.includes(axis)),
    );
  },

  Tile: (call) => {
    const input = call.operand(0);
    return call.build.apply(tile, [input], { repeats: requiredList(call, 1, "repeats") });
  },

  Transpose: (call) => permute(call.build, call.operand(0), call.ints("perm", [])!),

  Trilu: (call) => {
    const input = call.operand(0);
    return call.build.apply(trilu, [input], { upper: call.int("upper", 1), k: call.numbers(1)?.[0] ?? 0 });
  },

  Unsqueeze: (call) => {
    const data = call.operand(0);
    const given = requiredList(call, 1, "axes", 13);
    const rank = data.shape.length + given.length;
    const added = normalizeAxes(given, rank, "Unsqueeze");
    let next = 0;
    const extents = Array.from({ length: rank }, (_, axis) => (added.includes(axis) ? 1 : data.shape[next++]!));
    return reshapeTo(call.build, data, extents);
  },
};
