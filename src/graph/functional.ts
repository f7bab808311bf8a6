// Operators beyond arithmetic as functions of symbolic tensors, named as PyTorch names them. Functions, not methods: a
// page bundles only those it imports.

import { averagePool } from "../ops/averagePool.ts";
import { conv } from "../ops/conv.ts";
import { maxPool } from "../ops/maxPool.ts";
import { abs } from "../ops/magnitude.ts";
import { relu as reluOperator } from "../ops/unary.ts";
import { sigmoid as sigmoidOperator, tanh as tanhOperator } from "../ops/sigmoid.ts";
import { logSoftmax as logSoftmaxOperator, softmax as softmaxOperator } from "../ops/softmax.ts";
import { max, min } from "../ops/extrema.ts";
import { where as whereOperator } from "../ops/where.ts";
import { apply, type Tensor, type TensorLike } from "./tensor.ts";

/** One number for both spatial axes, or one each: [height, width]. */
export type Pair = number | readonly [number, number];

export interface Conv2dOptions {
  /** Default 1. */
  readonly stride?: Pair;
  /** Zeros on each side: one number, [height, width], or [top, left, bottom, right]. Default 0. */
  readonly padding?: Pair | readonly [number, number, number, number];
  /** Default 1. */
  readonly dilation?: Pair;
  /** Default 1. */
  readonly groups?: number;
}

export interface Pool2dOptions {
  /** Default: the kernel size. */
  readonly stride?: Pair;
  readonly padding?: Conv2dOptions["padding"];
  /** Default 1. Max pooling only. */
  readonly dilation?: Pair;
  /** Round the output size up instead of down. Default false. */
  readonly ceilMode?: boolean;
}

/** max(x, 0). */
export function relu(x: Tensor): Tensor {
  return apply(reluOperator, [x]);
}

/** 1 / (1 + e⁻ˣ). */
export function sigmoid(x: Tensor): Tensor {
  return apply(sigmoidOperator, [x]);
}

/** Hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return apply(tanhOperator, [x]);
}

/** |x|. */
export function absolute(x: Tensor): Tensor {
  return apply(abs, [x]);
}

/** The larger of two, broadcasting. */
export function maximum(x: Tensor, y: TensorLike): Tensor {
  return apply(max, [x, y]);
}

/** The smaller of two, broadcasting. */
export function minimum(x: Tensor, y: TensorLike): Tensor {
  return apply(min, [x, y]);
}

/** `x` where `condition` (bool) holds, else `y`; broadcasting. */
export function where(condition: Tensor, x: TensorLike, y: TensorLike): Tensor {
  return apply(whereOperator, [condition, x, y]);
}

/** Softmax along `axis`, default the last. */
export function softmax(x: Tensor, axis = -1): Tensor {
  return apply(softmaxOperator, [x], { axis });
}

/** log(softmax(x)) along `axis`, computed without the softmax's underflow. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  return apply(logSoftmaxOperator, [x], { axis });
}

/**
 * 2-D convolution. x [N, C, H, W], weight [M, C/groups, kH, kW], bias [M] → [N, M, outH, outW].
 * Throws ShapeError when channels or extents do not fit.
 */
export function conv2d(x: Tensor, weight: TensorLike, bias?: TensorLike, options: Conv2dOptions = {}): Tensor {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  return apply(conv, [x, weight, ...(bias === undefined ? [] : [bias])], {
    strides: pair(stride),
    pads: padsOf(padding),
    dilations: pair(dilation),
    group: groups,
  });
}

/** 2-D max pooling. x [N, C, H, W] → [N, C, outH, outW]. */
export function maxPool2d(x: Tensor, kernelSize: Pair, options: Pool2dOptions = {}): Tensor {
  const { stride = kernelSize, padding = 0, dilation = 1, ceilMode = false } = options;
  return apply(maxPool, [x], {
    kernel_shape: pair(kernelSize),
    strides: pair(stride),
    pads: padsOf(padding),
    dilations: pair(dilation),
    ceil_mode: ceilMode ? 1 : 0,
  });
}

/** 2-D average pooling; padding counts as zeros, as in PyTorch. x [N, C, H, W] → [N, C, outH, outW]. */
export function avgPool2d(x: Tensor, kernelSize: Pair, options: Omit<Pool2dOptions, "dilation"> = {}): Tensor {
  const { stride = kernelSize, padding = 0, ceilMode = false } = options;
  return apply(averagePool, [x], {
    kernel_shape: pair(kernelSize),
    strides: pair(stride),
    pads: padsOf(padding),
    ceil_mode: ceilMode ? 1 : 0,
    count_include_pad: 1,
  });
}

/** Merges all axes from `axis` on: [N, C, H, W] → [N, C·H·W] by default. */
export function flatten(x: Tensor, axis = 1): Tensor {
  const kept = x.shape.slice(0, axis);
  return x.reshape([...kept, x.shape.slice(axis).reduce((product, extent) => product * extent, 1)]);
}

function pair(value: Pair): readonly number[] {
  return typeof value === "number" ? [value, value] : value;
}

function padsOf(padding: NonNullable<Conv2dOptions["padding"]>): readonly number[] {
  if (typeof padding === "number") return [padding, padding, padding, padding];
  return padding.length === 2 ? [...padding, ...padding] : padding;
}
