// Conv, ConvTranspose and ConvWeightGradient are one sum seen from three sides: over all n, m, c, taps and positions,
//     Y[n, m, oh, ow]  meets  W[m, c, kh, kw] · X[n, c, oh·stride − pad + kh·dilation, …].
// Conv solves it for Y, ConvTranspose for X (it is Conv's gradient with respect to its input) and ConvWeightGradient for
// W. So one geometry, always told as the forward convolution X → Y, and one loop nest serve all three, and each one's
// gradients are the other two.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { requireDType } from "./check.ts";
import {
  defineOperator,
  summationBound,
  type Builder,
  type Numbers,
  type Operand,
  type Operator,
  type OperatorCase,
  type Problem,
  type ReferenceInput,
  type ReferenceOutput,
} from "./operator.ts";
import { reduceSum } from "./reduce.ts";
import {
  axisValues,
  checkSpatialRank,
  padValues,
  positionsInside,
  resolveWindow,
  splitPadding,
  type WindowAttributes,
  type WindowAxis,
} from "./window.ts";

/** Attributes of {@link conv}, named as in ONNX; `[]` is ONNX's default of an absent list. */
export type ConvAttributes = {
  readonly auto_pad: string;
  readonly dilations: readonly number[];
  readonly group: number;
  readonly kernel_shape: readonly number[];
  readonly pads: readonly number[];
  readonly strides: readonly number[];
};

/** Attributes of {@link convTranspose}. */
export type ConvTransposeAttributes = ConvAttributes & {
  /** Extra extent at the end of each spatial axis of Y. */
  readonly output_padding: readonly number[];
  /** Spatial extents of Y; pads are then worked out from it and `pads` is ignored. */
  readonly output_shape: readonly number[];
};

/** Attributes of {@link convWeightGradient}; `kernel_shape` is required. */
export type ConvWeightGradientAttributes = {
  readonly dilations: readonly number[];
  readonly group: number;
  readonly kernel_shape: readonly number[];
  readonly pads: readonly number[];
  readonly strides: readonly number[];
};

/**
 * A resolved 2-D convolution, always seen as the forward one: X [N, C, H, W] with W [M, C/group, kH, kW] gives
 * Y [N, M, outH, outW]. For ConvTranspose, X is its output and Y its input. `padBottom` and `padRight` can be negative
 * (rows and columns at the end that no window reaches); no kernel needs them, only extents.
 */
export interface ConvGeometry {
  readonly N: number;
  readonly C: number;
  readonly H: number;
  readonly W: number;
  readonly M: number;
  readonly group: number;
  readonly kH: number;
  readonly kW: number;
  readonly strideH: number;
  readonly strideW: number;
  readonly dilationH: number;
  readonly dilationW: number;
  readonly padTop: number;
  readonly padLeft: number;
  readonly padBottom: number;
  readonly padRight: number;
  readonly outH: number;
  readonly outW: number;
}

function pack(
  N: number,
  C: number,
  M: number,
  group: number,
  [vertical, horizontal]: readonly WindowAxis[],
): ConvGeometry {
  return {
    N,
    C,
    H: vertical!.extent,
    W: horizontal!.extent,
    M,
    group,
    kH: vertical!.kernel,
    kW: horizontal!.kernel,
    strideH: vertical!.stride,
    strideW: horizontal!.stride,
    dilationH: vertical!.dilation,
    dilationW: horizontal!.dilation,
    padTop: vertical!.padBegin,
    padLeft: horizontal!.padBegin,
    padBottom: vertical!.padEnd,
    padRight: horizontal!.padEnd,
    outH: vertical!.out,
    outW: horizontal!.out,
  };
}

function checkTypes(
  inputs: readonly (TensorType | undefined)[],
  names: readonly string[],
  required: number,
  who: string,
): void {
  names.forEach((name, index) => {
    const type = inputs[index];
    if (!type) {
      if (index < required) throw new ShapeError(`${who}: input ${name} is required`);
    } else requireDType(who, name, type, ["float32"]);
  });
}

function checkGroup(group: number, channels: number, name: string, who: string): void {
  if (!Number.isInteger(group) || group < 1 || channels % group !== 0)
    throw new ShapeError(`${who}: group ${group} must be a positive integer that divides the ${channels} ${name}`);
}

/** Spatial extents of the weights, which `kernel_shape` must repeat if it is given. */
function kernelOf(weights: Shape, kernelShape: readonly number[], rank: number, who: string): readonly number[] {
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

function checkBias(bias: TensorType | undefined, channels: number, who: string): void {
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== channels))
    throw new ShapeError(
      `${who}: B must be [${channels}], one value an output channel, got ${formatShape(bias.shape)}`,
    );
}

/** X and W of a forward convolution, checked and resolved. */
function forwardGeometry(x: Shape, w: Shape, group: number, attributes: WindowAttributes, who: string): ConvGeometry {
  checkSpatialRank(x, who);
  const kernel = kernelOf(w, attributes.kernel_shape, x.length, who);
  const [N, C] = x as readonly [number, number];
  const M = w[0]!;
  checkGroup(group, C, "channels of X", who);
  checkGroup(group, M, "output channels", who);
  if (w[1] !== C / group)
    throw new ShapeError(
      `${who}: X ${formatShape(x)} has ${C} channels in ${group} group(s), so W must be [M, ${C / group}, kH, kW], got ${formatShape(w)}`,
    );
  return pack(N, C, M, group, resolveWindow(x.slice(2), kernel, attributes, false, who));
}

/** Geometry of a Conv problem. */
export function convGeometry(problem: Problem<ConvAttributes>): ConvGeometry {
  return geometryOfConv(problem.inputs, problem.attributes);
}

function geometryOfConv(inputs: readonly (TensorType | undefined)[], attributes: ConvAttributes): ConvGeometry {
  checkTypes(inputs, ["X", "W", "B"], 2, "Conv");
  const geometry = forwardGeometry(inputs[0]!.shape, inputs[1]!.shape, attributes.group, attributes, "Conv");
  checkBias(inputs[2], geometry.M, "Conv");
  return geometry;
}

/** Geometry of a ConvTranspose problem, as the convolution it is the gradient of: `outH`, `outW` are its input's extents. */
export function convTransposeGeometry(problem: Problem<ConvTransposeAttributes>): ConvGeometry {
  return geometryOfConvTranspose(problem.inputs, problem.attributes);
}

function geometryOfConvTranspose(
  inputs: readonly (TensorType | undefined)[],
  attributes: ConvTransposeAttributes,
): ConvGeometry {
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
      `${who}: X ${formatShape(x)} has ${M} channels, so W must be [${M}, M/group, kH, kW], got ${formatShape(w)}`,
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
  return pack(N, C, M, group, axes);
}

/** Geometry of a ConvWeightGradient problem: that of the convolution whose weights' gradient it is. */
export function convWeightGradientGeometry(problem: Problem<ConvWeightGradientAttributes>): ConvGeometry {
  return geometryOfWeightGradient(problem.inputs, problem.attributes);
}

function geometryOfWeightGradient(
  inputs: readonly (TensorType | undefined)[],
  attributes: ConvWeightGradientAttributes,
): ConvGeometry {
  const who = "ConvWeightGradient";
  checkTypes(inputs, ["X", "dY"], 2, who);
  const x = inputs[0]!.shape;
  const dy = inputs[1]!.shape;
  checkSpatialRank(x, who);
  const { group, kernel_shape: kernel } = attributes;
  if (kernel.length !== x.length - 2)
    throw new ShapeError(`${who}: kernel_shape must give ${x.length - 2} extents, got [${kernel.join(", ")}]`);
  const w = [dy[1] ?? 0, Math.floor(x[1]! / group), ...kernel];
  const geometry = forwardGeometry(x, w, group, { auto_pad: "NOTSET", ...attributes }, who);
  const expected = [geometry.N, geometry.M, geometry.outH, geometry.outW];
  if (dy.length !== 4 || dy.some((extent, axis) => extent !== expected[axis]))
    throw new ShapeError(
      `${who}: a convolution of X ${formatShape(x)} with kernel [${kernel.join(", ")}] gives ` +
        `[${geometry.N}, M, ${geometry.outH}, ${geometry.outW}], but dY is ${formatShape(dy)}`,
    );
  return geometry;
}

/** Operands of the shared sum: x [N, C, H, W], w [M, C/group, kH, kW], y [N, M, outH, outW]. */
interface ConvOperands {
  readonly x: Numbers;
  readonly w: Numbers;
  readonly y: Numbers;
}

/** The shared sum, solved for the operand named by `into`, whose own data is not read. Adds to `values` and `terms`. */
function accumulate(
  g: ConvGeometry,
  { x, w, y }: ConvOperands,
  into: keyof ConvOperands,
  values: Float64Array,
  terms: Float64Array,
): void {
  const groupC = g.C / g.group;
  const groupM = g.M / g.group;
  for (let kh = 0; kh < g.kH; kh++) {
    const offsetH = kh * g.dilationH - g.padTop;
    const rows = positionsInside(offsetH, g.strideH, g.H, g.outH);
    for (let kw = 0; kw < g.kW; kw++) {
      const offsetW = kw * g.dilationW - g.padLeft;
      const columns = positionsInside(offsetW, g.strideW, g.W, g.outW);
      for (let n = 0; n < g.N; n++)
        for (let m = 0; m < g.M; m++) {
          const firstC = Math.floor(m / groupM) * groupC;
          for (let c = 0; c < groupC; c++) {
            const wIndex = ((m * groupC + c) * g.kH + kh) * g.kW + kw;
            const weight = into === "w" ? 0 : w[wIndex]!;
            let sum = 0;
            let sumTerms = 0;
            for (let oh = rows.first; oh < rows.end; oh++) {
              const yRow = ((n * g.M + m) * g.outH + oh) * g.outW;
              const xRow = ((n * g.C + firstC + c) * g.H + oh * g.strideH + offsetH) * g.W + offsetW;
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
}

const NONE = new Float64Array(0);

/** Results that start at the bias of their channel, or at 0. */
function startFromBias(
  batch: number,
  channels: number,
  area: number,
  bias: ReferenceInput | undefined,
): Required<ReferenceOutput> {
  const values = new Float64Array(batch * channels * area);
  if (bias)
    for (let plane = 0; plane < batch * channels; plane++)
      values.fill(bias.data[plane % channels]!, plane * area, (plane + 1) * area);
  return { values, terms: values.map(Math.abs) };
}

/** Two per multiply-add, taps that fall into the padding included, as is usual. */
function convFlops(g: ConvGeometry): number {
  return 2 * g.N * g.M * g.outH * g.outW * (g.C / g.group) * g.kH * g.kW;
}

/** The window of a geometry as explicit attributes, for the two other operators of the family. */
function windowAttributes(g: ConvGeometry): ConvWeightGradientAttributes {
  return {
    dilations: [g.dilationH, g.dilationW],
    group: g.group,
    kernel_shape: [g.kH, g.kW],
    pads: [g.padTop, g.padLeft, g.padBottom, g.padRight],
    strides: [g.strideH, g.strideW],
  };
}

/** The x that a convolution of geometry `g` with `w` turns `y` back into. */
function backToX(build: Builder, g: ConvGeometry, y: Operand, w: Operand): Operand {
  const leftover = (
    extent: number,
    out: number,
    kernel: number,
    stride: number,
    dilation: number,
    pads: number,
  ): number => extent - ((out - 1) * stride + (kernel - 1) * dilation + 1 - pads);
  return build.apply(convTranspose, [y, w], {
    ...windowAttributes(g),
    output_padding: [
      leftover(g.H, g.outH, g.kH, g.strideH, g.dilationH, g.padTop + g.padBottom),
      leftover(g.W, g.outW, g.kW, g.strideW, g.dilationW, g.padLeft + g.padRight),
    ],
  });
}

function biasGradient(build: Builder, dY: Operand): Operand {
  return build.apply(reduceSum, [dY], { axes: [0, 2, 3], keepdims: 0 });
}

interface WindowCase {
  readonly x: Shape;
  /** Weights, of Conv and ConvTranspose. */
  readonly w?: Shape;
  /** Extent of the bias. */
  readonly bias?: number;
  /** Gradient of Y, of ConvWeightGradient. */
  readonly dy?: Shape;
  readonly why?: string;
}

function toCase<A extends ConvWeightGradientAttributes>(short: WindowCase & Partial<A>): OperatorCase<A> {
  const { x, w, bias, dy, why, ...attributes } = short;
  return {
    inputs: [x, ...(w ? [w] : []), ...(bias === undefined ? [] : [[bias]]), ...(dy ? [dy] : [])],
    attributes: attributes as unknown as Partial<A>,
    ...(why === undefined ? {} : { why }),
  };
}

/** Convolution (cross-correlation) of X [N, C, H, W] with W [M, C/group, kH, kW], plus B [M]. Source: ONNX Conv (opset 22). */
export const conv: Operator<ConvAttributes> = defineOperator<ConvAttributes>({
  name: "Conv",
  inputs: ["X", "W", "B"],
  required: 2,
  outputs: ["Y"],
  attributes: { auto_pad: "NOTSET", dilations: [], group: 1, kernel_shape: [], pads: [], strides: [] },

  infer(inputs, attributes) {
    const g = geometryOfConv(inputs, attributes);
    return [{ dtype: "float32", shape: [g.N, g.M, g.outH, g.outW] }];
  },

  reference([X, W, B], problem) {
    const g = convGeometry(problem);
    const { values, terms } = startFromBias(g.N, g.M, g.outH * g.outW, B);
    accumulate(g, { x: X!.data, w: W!.data, y: NONE }, "y", values, terms);
    return [{ values, terms }];
  },

  errorBound(problem) {
    const g = convGeometry(problem);
    return summationBound((g.C / g.group) * g.kH * g.kW + 1);
  },

  flops: (problem) => convFlops(convGeometry(problem)),

  gradient({ build, attributes, inputs, outputGradients: [dY], wanted }) {
    const [X, W] = inputs;
    if (!X || !W || !dY) return [];
    const g = geometryOfConv(inputs, attributes);
    return [
      wanted[0] ? backToX(build, g, dY, W) : undefined,
      wanted[1] ? build.apply(convWeightGradient, [X, dY], windowAttributes(g)) : undefined,
      wanted[2] ? biasGradient(build, dY) : undefined,
    ];
  },

  cases: [
    { x: [1, 1, 1, 1], w: [1, 1, 1, 1], bias: 1 },
    { x: [1, 1, 5, 5], w: [1, 1, 3, 3] },
    { x: [2, 3, 7, 11], w: [5, 3, 3, 3], bias: 5, pads: [1, 1, 1, 1] },
    { x: [4, 1, 28, 28], w: [6, 1, 5, 5], bias: 6, pads: [2, 2, 2, 2], why: "LeNet's first at batch 4" },
    { x: [4, 6, 14, 14], w: [16, 6, 5, 5], bias: 16, why: "LeNet's second at batch 4" },
    { x: [1, 3, 13, 17], w: [8, 3, 3, 3], bias: 8, strides: [2, 2], pads: [1, 1, 1, 1] },
    { x: [1, 2, 12, 9], w: [3, 2, 2, 3], strides: [3, 2], why: "input rows that no window reads" },
    { x: [1, 2, 11, 12], w: [3, 2, 3, 3], dilations: [2, 3] },
    { x: [1, 2, 9, 10], w: [3, 2, 3, 2], bias: 3, pads: [0, 2, 1, 0], why: "different pads on every side" },
    { x: [1, 2, 8, 9], w: [2, 2, 4, 3], auto_pad: "SAME_UPPER", strides: [2, 2] },
    { x: [1, 2, 8, 9], w: [2, 2, 4, 3], auto_pad: "SAME_LOWER", strides: [2, 2] },
    { x: [1, 2, 8, 9], w: [2, 2, 4, 3], auto_pad: "VALID", strides: [3, 1] },
    { x: [2, 33, 5, 7], w: [17, 33, 1, 1], bias: 17, why: "1×1: a matrix product" },
    { x: [1, 4, 9, 9], w: [6, 4, 1, 1], strides: [2, 2], why: "1×1 that skips" },
    { x: [2, 8, 9, 9], w: [8, 1, 3, 3], bias: 8, group: 8, pads: [1, 1, 1, 1], why: "depthwise" },
    { x: [1, 5, 9, 8], w: [10, 1, 5, 5], group: 5, strides: [2, 2], pads: [2, 2, 2, 2], why: "depthwise, two each" },
    { x: [1, 6, 7, 7], w: [9, 2, 3, 3], bias: 9, group: 3 },
    { x: [1, 17, 18, 33], w: [33, 17, 3, 3], bias: 33, pads: [1, 1, 1, 1], why: "just past tiles" },
    { x: [1, 16, 16, 16], w: [32, 16, 3, 3], bias: 32, pads: [1, 1, 1, 1], why: "extents divisible by 4" },
    { x: [1, 1, 1, 40], w: [4, 1, 1, 7], pads: [0, 3, 0, 3], why: "one row: a 1-D convolution" },
    { x: [1, 2, 3, 3], w: [4, 2, 3, 3], bias: 4, why: "kernel as large as the input" },
    { x: [0, 2, 5, 5], w: [3, 2, 3, 3], bias: 3, why: "empty batch" },
    { x: [2, 0, 5, 5], w: [3, 0, 3, 3], bias: 3, why: "empty sums: the bias alone" },
  ].map(toCase),
});

/**
 * Transposed convolution of X [N, C, H, W] with W [C, M/group, kH, kW], plus B [M]: the gradient of Conv with respect to
 * its input. Source: ONNX ConvTranspose (opset 22).
 */
export const convTranspose: Operator<ConvTransposeAttributes> = defineOperator<ConvTransposeAttributes>({
  name: "ConvTranspose",
  inputs: ["X", "W", "B"],
  required: 2,
  outputs: ["Y"],
  attributes: {
    auto_pad: "NOTSET",
    dilations: [],
    group: 1,
    kernel_shape: [],
    output_padding: [],
    output_shape: [],
    pads: [],
    strides: [],
  },

  infer(inputs, attributes) {
    const g = geometryOfConvTranspose(inputs, attributes);
    return [{ dtype: "float32", shape: [g.N, g.C, g.H, g.W] }];
  },

  reference([X, W, B], problem) {
    const g = convTransposeGeometry(problem);
    const { values, terms } = startFromBias(g.N, g.C, g.H * g.W, B);
    accumulate(g, { x: NONE, w: W!.data, y: X!.data }, "x", values, terms);
    return [{ values, terms }];
  },

  errorBound(problem) {
    const g = convTransposeGeometry(problem);
    return summationBound((g.M / g.group) * g.kH * g.kW + 1);
  },

  flops: (problem) => convFlops(convTransposeGeometry(problem)),

  gradient({ build, attributes, inputs, outputGradients: [dY], wanted }) {
    const [X, W] = inputs;
    if (!X || !W || !dY) return [];
    const window = windowAttributes(geometryOfConvTranspose(inputs, attributes));
    return [
      wanted[0] ? build.apply(conv, [dY, W], window) : undefined,
      wanted[1] ? build.apply(convWeightGradient, [dY, X], window) : undefined,
      wanted[2] ? biasGradient(build, dY) : undefined,
    ];
  },

  cases: [
    { x: [1, 1, 1, 1], w: [1, 1, 1, 1], bias: 1 },
    { x: [1, 1, 3, 3], w: [1, 2, 3, 3] },
    { x: [2, 3, 5, 7], w: [3, 4, 3, 3], bias: 4, pads: [1, 1, 1, 1] },
    { x: [4, 6, 28, 28], w: [6, 1, 5, 5], pads: [2, 2, 2, 2], why: "gradient of LeNet's first" },
    { x: [4, 16, 10, 10], w: [16, 6, 5, 5], why: "gradient of LeNet's second" },
    { x: [1, 8, 7, 9], w: [8, 4, 2, 2], bias: 4, strides: [2, 2], why: "upsampling without overlap" },
    { x: [1, 3, 5, 6], w: [3, 2, 3, 3], bias: 2, strides: [2, 3], pads: [1, 0, 0, 2], output_padding: [1, 2] },
    { x: [1, 2, 4, 5], w: [2, 3, 3, 2], dilations: [2, 3], strides: [1, 2] },
    { x: [1, 2, 4, 5], w: [2, 3, 4, 4], auto_pad: "SAME_UPPER", strides: [2, 3] },
    { x: [1, 2, 4, 5], w: [2, 3, 4, 4], auto_pad: "SAME_LOWER", strides: [2, 3] },
    { x: [1, 1, 3, 3], w: [1, 2, 3, 3], strides: [3, 2], output_shape: [10, 8], why: "more than the windows reach" },
    { x: [1, 2, 3, 4], w: [2, 2, 1, 2], strides: [4, 3], why: "gaps between windows" },
    { x: [1, 2, 3, 4], w: [2, 2, 3, 3], output_padding: [1, 2], why: "output padding of a whole stride" },
    { x: [1, 6, 5, 4], w: [6, 3, 3, 3], bias: 9, group: 3, pads: [1, 1, 1, 1] },
    { x: [1, 5, 6, 7], w: [5, 1, 4, 4], group: 5, strides: [2, 2], pads: [1, 1, 1, 1], why: "depthwise" },
    { x: [2, 17, 5, 7], w: [17, 33, 1, 1], bias: 33, why: "1×1" },
    { x: [0, 2, 5, 5], w: [2, 3, 3, 3], bias: 3, why: "empty batch" },
    { x: [2, 0, 5, 5], w: [0, 3, 3, 3], bias: 3, why: "empty sums: the bias alone" },
  ].map(toCase),
});

/**
 * Gradient of Conv with respect to its weights: from X [N, C, H, W] and dY [N, M, outH, outW], dW [M, C/group, kH, kW].
 * ONNX has no such operator.
 */
export const convWeightGradient: Operator<ConvWeightGradientAttributes> = defineOperator<ConvWeightGradientAttributes>({
  name: "ConvWeightGradient",
  inputs: ["X", "dY"],
  outputs: ["dW"],
  attributes: { dilations: [], group: 1, kernel_shape: [], pads: [], strides: [] },

  infer(inputs, attributes) {
    const g = geometryOfWeightGradient(inputs, attributes);
    return [{ dtype: "float32", shape: [g.M, g.C / g.group, g.kH, g.kW] }];
  },

  reference([X, dY], problem) {
    const g = convWeightGradientGeometry(problem);
    const size = sizeOf(problem.outputs[0]!.shape);
    const values = new Float64Array(size);
    const terms = new Float64Array(size);
    accumulate(g, { x: X!.data, w: NONE, y: dY!.data }, "w", values, terms);
    return [{ values, terms }];
  },

  errorBound(problem) {
    const g = convWeightGradientGeometry(problem);
    return summationBound(g.N * g.outH * g.outW);
  },

  flops: (problem) => convFlops(convWeightGradientGeometry(problem)),

  // dW is linear in X and in dY, and ⟨G, dW(X, dY)⟩ = ⟨Conv(X, G), dY⟩ for any G: a ddW takes the place of the weights.
  gradient({ build, attributes, inputs, outputGradients: [G], wanted }) {
    const [X, dY] = inputs;
    if (!X || !dY || !G) return [];
    const g = geometryOfWeightGradient(inputs, attributes);
    return [
      wanted[0] ? backToX(build, g, dY, G) : undefined,
      wanted[1] ? build.apply(conv, [X, G], windowAttributes(g)) : undefined,
    ];
  },

  cases: [
    { x: [1, 1, 1, 1], dy: [1, 1, 1, 1], kernel_shape: [1, 1] },
    { x: [2, 3, 7, 11], dy: [2, 5, 7, 11], kernel_shape: [3, 3], pads: [1, 1, 1, 1] },
    {
      x: [4, 1, 28, 28],
      dy: [4, 6, 28, 28],
      kernel_shape: [5, 5],
      pads: [2, 2, 2, 2],
      why: "LeNet's first at batch 4",
    },
    { x: [4, 6, 14, 14], dy: [4, 16, 10, 10], kernel_shape: [5, 5], why: "LeNet's second at batch 4" },
    { x: [1, 3, 13, 17], dy: [1, 8, 7, 9], kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
    { x: [1, 2, 12, 9], dy: [1, 3, 4, 4], kernel_shape: [2, 3], strides: [3, 2], why: "rows that no window reads" },
    { x: [1, 2, 11, 12], dy: [1, 3, 7, 6], kernel_shape: [3, 3], dilations: [2, 3] },
    {
      x: [1, 2, 9, 10],
      dy: [1, 3, 8, 11],
      kernel_shape: [3, 2],
      pads: [0, 2, 1, 0],
      why: "different pads on every side",
    },
    { x: [2, 33, 5, 7], dy: [2, 17, 5, 7], kernel_shape: [1, 1], why: "1×1" },
    { x: [2, 8, 9, 9], dy: [2, 8, 9, 9], kernel_shape: [3, 3], group: 8, pads: [1, 1, 1, 1], why: "depthwise" },
    { x: [1, 6, 7, 7], dy: [1, 9, 5, 5], kernel_shape: [3, 3], group: 3 },
    { x: [0, 2, 5, 5], dy: [0, 3, 3, 3], kernel_shape: [3, 3], why: "empty batch: zeros" },
  ].map(toCase),
});
