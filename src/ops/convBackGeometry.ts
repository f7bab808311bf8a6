// The geometry of ConvTranspose and ConvWeightGradient, told as that of the convolution they belong to (see convGeometry.ts).

import { ShapeError } from "../core/errors.ts";
import { formatShape, type TensorType } from "../core/shape.ts";
import {
  checkBias,
  checkGroup,
  checkTypes,
  geometryOf,
  kernelNames,
  kernelOf,
  resolveForward,
  type ConvGeometry,
  type ConvTransposeAttributes,
  type ConvWeightGradientAttributes,
  type ResolvedConv,
} from "./convGeometry.ts";
import type { Problem } from "./operator.ts";
import { axisValues, checkSpatialRank, mergePlainAxes, padValues, splitPadding, type WindowAxis } from "./window.ts";

/** Geometry of a ConvTranspose problem, as the convolution it is the gradient of: `outH`, `outW` are its input's extents. */
export function convTransposeGeometry(problem: Problem<ConvTransposeAttributes>): ConvGeometry {
  const resolved = resolveConvTranspose(problem.inputs, problem.attributes);
  return geometryOf({ ...resolved, axes: mergePlainAxes(resolved.axes) });
}

/**
 * Geometry of a ConvWeightGradient problem: that of the convolution whose weights' gradient it is. Its kernels share out
 * rows, so no axes are merged.
 */
export function convWeightGradientGeometry(problem: Problem<ConvWeightGradientAttributes>): ConvGeometry {
  return geometryOf(resolveConvWeightGradient(problem.inputs, problem.attributes));
}

export function resolveConvTranspose(
  inputs: readonly (TensorType | undefined)[],
  attributes: ConvTransposeAttributes,
): ResolvedConv {
  const who = "ConvTranspose";
  checkTypes(inputs, ["X", "W", "B"], 2, who);
  const x = inputs[0]!.shape;
  const w = inputs[1]!.shape;
  checkSpatialRank(x, who);
  const kernels = kernelOf(w, attributes.kernel_shape, x.length, who);
  const [N, M] = x as readonly [number, number]; // X is the forward convolution's output
  const group = attributes.group;
  checkGroup(group, M, "channels of X", who);
  if (w[0] !== M)
    throw new ShapeError(
      `${who}: X ${formatShape(x)} has ${M} channels, so W must be [${M}, M/group, ${kernelNames(kernels.length)}], got ${formatShape(w)}`,
    );

  const count = kernels.length;
  const strides = axisValues(attributes.strides, count, 1, 1, "strides", who);
  const dilations = axisValues(attributes.dilations, count, 1, 1, "dilations", who);
  const outputPadding = axisValues(attributes.output_padding, count, 0, 0, "output_padding", who);
  const wanted = axisValues(attributes.output_shape, count, -1, 0, "output_shape", who);
  const autoPad = attributes.auto_pad;
  const pads = padValues(attributes.pads, count, autoPad, who);
  const same = autoPad === "SAME_UPPER" || autoPad === "SAME_LOWER";

  const axes = kernels.map((kernel, axis): WindowAxis => {
    const out = x[axis + 2]!;
    const stride = strides[axis]!;
    const dilation = dilations[axis]!;
    const span = (kernel - 1) * dilation + 1;
    const reach = stride * (out - 1) + outputPadding[axis]! + span; // extent before any padding is cut off
    let padBegin = autoPad === "NOTSET" ? pads[axis]! : 0;
    let padEnd = autoPad === "NOTSET" ? pads[axis + count]! : 0;
    let extent = reach - padBegin - padEnd;
    if (wanted[axis]! >= 0 || same) {
      extent = wanted[axis]! >= 0 ? wanted[axis]! : out * stride;
      [padBegin, padEnd] = splitPadding(Math.max(0, reach - extent), autoPad);
    }
    if (extent < 0)
      throw new ShapeError(
        `${who}: pads ${padBegin} and ${padEnd} cut more than the ${reach} elements that X ${formatShape(x)} and ` +
          `kernel ${kernel} reach on spatial axis ${axis}`,
      );
    // An output padding of a whole stride or more would give the forward convolution another window: crop instead.
    if (out > 0 && Math.floor((extent + padBegin + padEnd - span) / stride) + 1 !== out)
      padEnd = stride * (out - 1) + span - extent - padBegin;
    return { extent, kernel, stride, dilation, padBegin, padEnd, out };
  });
  const C = w[1]! * group;
  checkBias(inputs[2], C, who);
  return { N, C, M, group, axes };
}

export function resolveConvWeightGradient(
  inputs: readonly (TensorType | undefined)[],
  attributes: ConvWeightGradientAttributes,
): ResolvedConv {
  const who = "ConvWeightGradient";
  checkTypes(inputs, ["X", "dY"], 2, who);
  const x = inputs[0]!.shape;
  const dy = inputs[1]!.shape;
  checkSpatialRank(x, who);
  const { group, kernel_shape: kernel } = attributes;
  if (kernel.length !== x.length - 2)
    throw new ShapeError(`${who}: kernel_shape must give ${x.length - 2} extents, got [${kernel.join(", ")}]`);
  const w = [dy[1] ?? 0, Math.floor(x[1]! / group), ...kernel];
  const resolved = resolveForward(x, w, group, { auto_pad: "NOTSET", ...attributes }, who);
  const outs = resolved.axes.map(({ out }) => out);
  const expected = [resolved.N, resolved.M, ...outs];
  if (dy.length !== expected.length || dy.some((extent, axis) => extent !== expected[axis]))
    throw new ShapeError(
      `${who}: a convolution of X ${formatShape(x)} with kernel [${kernel.join(", ")}] gives ` +
        `[${resolved.N}, M, ${outs.join(", ")}], but dY is ${formatShape(dy)}`,
    );
  return resolved;
}
