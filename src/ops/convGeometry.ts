// The geometry of the convolution family. Conv, ConvTranspose and ConvWeightGradient are one sum seen from three sides:
// over all n, m, c, taps and positions,
//     Y[n, m, o]  meets  W[m, c, k] · X[n, c, o·stride − pad + k·dilation],
// axis by axis for one to three spatial axes. Conv solves it for Y, ConvTranspose for X (it is Conv's gradient with respect
// to its input) and ConvWeightGradient for W. So one geometry, always told as the forward convolution X → Y, and one loop
// nest serve all three.

import { isFloat } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { formatShape, type Shape, type TensorType } from "../core/shape.ts";
import { formatInputs, requireSameDType } from "./check.ts";
import type { Numbers, Problem, ReferenceInput, ReferenceOutput } from "./operator.ts";
import {
  checkSpatialRank,
  mergePlainAxes,
  positionsInside,
  resolveWindow,
  threeAxes,
  type WindowAttributes,
  type WindowAxis,
} from "./window.ts";

/** Attributes of Conv, named as in ONNX; `[]` is ONNX's default of an absent list. */
export type ConvAttributes = {
  readonly auto_pad: string;
  readonly dilations: readonly number[];
  readonly group: number;
  readonly kernel_shape: readonly number[];
  readonly pads: readonly number[];
  readonly strides: readonly number[];
};

/** Attributes of ConvTranspose. */
export type ConvTransposeAttributes = ConvAttributes & {
  /** Extra extent at the end of each spatial axis of Y. */
  readonly output_padding: readonly number[];
  /** Spatial extents of Y; pads are then worked out from it and `pads` is ignored. */
  readonly output_shape: readonly number[];
};

/** Attributes of ConvWeightGradient; `kernel_shape` is required. */
export type ConvWeightGradientAttributes = {
  readonly dilations: readonly number[];
  readonly group: number;
  readonly kernel_shape: readonly number[];
  readonly pads: readonly number[];
  readonly strides: readonly number[];
};

/**
 * A convolution in the rank it was asked for, seen as the forward one: X [N, C, …extents] with W [M, C/group, …kernels]
 * gives Y [N, M, …outs]. For ConvTranspose, X is its output and Y its input. `padEnd` of an axis can be negative
 * (elements at the end that no window reaches).
 */
export interface ResolvedConv {
  readonly N: number;
  readonly C: number;
  readonly M: number;
  readonly group: number;
  readonly axes: readonly WindowAxis[];
}

/** The same as kernels and references see it: always depth, height and width, X [N, C, D, H, W] and Y [N, M, outD, outH, outW]. */
export interface ConvGeometry {
  readonly N: number;
  readonly C: number;
  readonly D: number;
  readonly H: number;
  readonly W: number;
  readonly M: number;
  readonly group: number;
  readonly kD: number;
  readonly kH: number;
  readonly kW: number;
  readonly strideD: number;
  readonly strideH: number;
  readonly strideW: number;
  readonly dilationD: number;
  readonly dilationH: number;
  readonly dilationW: number;
  readonly padFront: number;
  readonly padTop: number;
  readonly padLeft: number;
  readonly outD: number;
  readonly outH: number;
  readonly outW: number;
}

/** A resolved convolution with three axes. */
export function geometryOf({ N, C, M, group, axes }: ResolvedConv): ConvGeometry {
  const [depth, height, width] = threeAxes(axes);
  return {
    N,
    C,
    D: depth.extent,
    H: height.extent,
    W: width.extent,
    M,
    group,
    kD: depth.kernel,
    kH: height.kernel,
    kW: width.kernel,
    strideD: depth.stride,
    strideH: height.stride,
    strideW: width.stride,
    dilationD: depth.dilation,
    dilationH: height.dilation,
    dilationW: width.dilation,
    padFront: depth.padBegin,
    padTop: height.padBegin,
    padLeft: width.padBegin,
    outD: depth.out,
    outH: height.out,
    outW: width.out,
  };
}

/** Geometry of a Conv problem. Axes that its window does not see are merged: a 1×1 convolution has H = 1. */
export function convGeometry(problem: Problem<ConvAttributes>): ConvGeometry {
  const resolved = resolveConv(problem.inputs, problem.attributes);
  return geometryOf({ ...resolved, axes: mergePlainAxes(resolved.axes) });
}

/** The first `required` inputs are there, and all are floating-point numbers of one type. */
export function checkTypes(
  inputs: readonly (TensorType | undefined)[],
  names: readonly string[],
  required: number,
  who: string,
): void {
  for (let index = 0; index < required; index++)
    if (!inputs[index]) throw new ShapeError(`${who}: input ${names[index]} is required`);
  const present = inputs.filter((type) => type !== undefined);
  requireSameDType(who, present);
  if (!isFloat(present[0]!.dtype))
    throw new DTypeError(`${who}: takes floating-point numbers, got ${formatInputs(inputs)}`);
}

export function checkGroup(group: number, channels: number, name: string, who: string): void {
  if (!Number.isInteger(group) || group < 1 || channels % group !== 0)
    throw new ShapeError(`${who}: group ${group} must be a positive integer that divides the ${channels} ${name}`);
}

/** Spatial extents of the weights, which `kernel_shape` must repeat if it is given. */
export function kernelOf(weights: Shape, kernelShape: readonly number[], rank: number, who: string): readonly number[] {
  if (weights.length !== rank)
    throw new ShapeError(`${who}: W must have ${rank} axes like X, got ${formatShape(weights)}`);
  const kernel = weights.slice(2);
  if (kernel.some((extent) => extent < 1))
    throw new ShapeError(`${who}: the kernel of W ${formatShape(weights)} is empty`);
  if (
    kernelShape.length > 0 &&
    (kernelShape.length !== kernel.length || kernelShape.some((extent, i) => extent !== kernel[i]))
  )
    throw new ShapeError(`${who}: kernel_shape [${kernelShape.join(", ")}] does not match W ${formatShape(weights)}`);
  return kernel;
}

/** `kH, kW`, for messages. */
export const kernelNames = (spatial: number): string => ["kD", "kH", "kW"].slice(3 - spatial).join(", ");

export function checkBias(bias: TensorType | undefined, channels: number, who: string): void {
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== channels))
    throw new ShapeError(
      `${who}: B must be [${channels}], one value an output channel, got ${formatShape(bias.shape)}`,
    );
}

/** X and W of a forward convolution, checked and resolved. */
export function resolveForward(
  x: Shape,
  w: Shape,
  group: number,
  attributes: WindowAttributes,
  who: string,
): ResolvedConv {
  checkSpatialRank(x, who);
  const kernel = kernelOf(w, attributes.kernel_shape, x.length, who);
  const [N, C] = x as readonly [number, number];
  const M = w[0]!;
  checkGroup(group, C, "channels of X", who);
  checkGroup(group, M, "output channels", who);
  if (w[1] !== C / group)
    throw new ShapeError(
      `${who}: X ${formatShape(x)} has ${C} channels in ${group} group(s), so W must be [M, ${C / group}, ${kernelNames(kernel.length)}], got ${formatShape(w)}`,
    );
  return { N, C, M, group, axes: resolveWindow(x.slice(2), kernel, attributes, false, who) };
}

export function resolveConv(inputs: readonly (TensorType | undefined)[], attributes: ConvAttributes): ResolvedConv {
  checkTypes(inputs, ["X", "W", "B"], 2, "Conv");
  const resolved = resolveForward(inputs[0]!.shape, inputs[1]!.shape, attributes.group, attributes, "Conv");
  checkBias(inputs[2], resolved.M, "Conv");
  return resolved;
}

/** Two per multiply-add, taps that fall into the padding included, as is usual. */
export function convFlops(g: ConvGeometry): number {
  return 2 * g.N * g.M * g.outD * g.outH * g.outW * (g.C / g.group) * g.kD * g.kH * g.kW;
}

/** Results that start at the bias of their channel, or at 0. */
export function startFromBias(
  batch: number,
  channels: number,
  volume: number,
  bias: ReferenceInput | undefined,
): Required<ReferenceOutput> {
  const values = new Float64Array(batch * channels * volume);
  if (bias)
    for (let plane = 0; plane < batch * channels; plane++)
      values.fill(bias.data[plane % channels]!, plane * volume, (plane + 1) * volume);
  return { values, terms: values.map(Math.abs) };
}

/** Operands of the shared sum: x [N, C, D, H, W], w [M, C/group, kD, kH, kW], y [N, M, outD, outH, outW]. */
interface ConvOperands {
  readonly x?: Numbers;
  readonly w?: Numbers;
  readonly y?: Numbers;
}

const NONE = new Float64Array(0);

/** The shared sum, solved for the operand that is left out. Adds to `values` and `terms`. */
export function accumulate(
  g: ConvGeometry,
  { x = NONE, w = NONE, y = NONE }: ConvOperands,
  into: keyof ConvOperands,
  { values, terms }: Required<ReferenceOutput>,
): void {
  const groupC = g.C / g.group;
  const groupM = g.M / g.group;
  for (let kd = 0; kd < g.kD; kd++)
    for (let kh = 0; kh < g.kH; kh++)
      for (let kw = 0; kw < g.kW; kw++) {
        const offsetD = kd * g.dilationD - g.padFront;
        const offsetH = kh * g.dilationH - g.padTop;
        const offsetW = kw * g.dilationW - g.padLeft;
        const slices = positionsInside(offsetD, g.strideD, g.D, g.outD);
        const rows = positionsInside(offsetH, g.strideH, g.H, g.outH);
        const columns = positionsInside(offsetW, g.strideW, g.W, g.outW);
        for (let n = 0; n < g.N; n++)
          for (let m = 0; m < g.M; m++) {
            const firstC = Math.floor(m / groupM) * groupC;
            for (let c = 0; c < groupC; c++) {
              const wIndex = (((m * groupC + c) * g.kD + kd) * g.kH + kh) * g.kW + kw;
              const weight = into === "w" ? 0 : w[wIndex]!;
              let sum = 0;
              let sumTerms = 0;
              for (let od = slices.first; od < slices.end; od++)
                for (let oh = rows.first; oh < rows.end; oh++) {
                  const yRow = (((n * g.M + m) * g.outD + od) * g.outH + oh) * g.outW;
                  const xSlice = (n * g.C + firstC + c) * g.D + od * g.strideD + offsetD;
                  const xRow = (xSlice * g.H + oh * g.strideH + offsetH) * g.W + offsetW;
                  if (into === "y") {
                    for (let ow = columns.first; ow < columns.end; ow++) {
                      const product = weight * x[xRow + ow * g.strideW]!;
                      values[yRow + ow]! += product;
                      terms[yRow + ow]! += Math.abs(product);
                    }
                  } else if (into === "x") {
                    for (let ow = columns.first; ow < columns.end; ow++) {
                      const product = weight * y[yRow + ow]!;
                      values[xRow + ow * g.strideW]! += product;
                      terms[xRow + ow * g.strideW]! += Math.abs(product);
                    }
                  } else {
                    for (let ow = columns.first; ow < columns.end; ow++) {
                      const product = x[xRow + ow * g.strideW]! * y[yRow + ow]!;
                      sum += product;
                      sumTerms += Math.abs(product);
                    }
                  }
                }
              if (into === "w") {
                values[wIndex]! += sum;
                terms[wIndex]! += sumTerms;
              }
            }
          }
      }
}
