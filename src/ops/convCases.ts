// Convolutions worth testing: each gives a kernel test of every strategy and a gradient check.

import type { DType } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";
import type { ConvAttributes, ConvTransposeAttributes, ConvWeightGradientAttributes } from "./convGeometry.ts";
import type { OperatorCase } from "./operator.ts";

interface WindowCase {
  readonly x: Shape;
  /** Weights, of Conv and ConvTranspose. */
  readonly w?: Shape;
  /** Extent of the bias. */
  readonly bias?: number;
  /** Element type of all inputs. Default float32. */
  readonly dtype?: DType;
  /** Gradient of Y, of ConvWeightGradient. */
  readonly dy?: Shape;
  readonly why?: string;
}

/* @__NO_SIDE_EFFECTS__ */
function toCases<A extends ConvWeightGradientAttributes>(
  cases: readonly (WindowCase & Partial<A>)[],
): OperatorCase<A>[] {
  return cases.map(({ x, w, bias, dy, dtype, why, ...attributes }) => ({
    inputs: [x, ...(w ? [w] : []), ...(bias === undefined ? [] : [[bias]]), ...(dy ? [dy] : [])].map((shape) =>
      dtype ? { shape, dtype } : shape,
    ),
    attributes: attributes as unknown as Partial<A>,
    ...(why === undefined ? {} : { why }),
  }));
}

export const convCases: readonly OperatorCase<ConvAttributes>[] = toCases<ConvAttributes>([
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
  { x: [2, 12, 6, 10], w: [10, 6, 1, 1], bias: 10, group: 2, why: "1×1 in groups" },
  { x: [1, 8, 5, 8], w: [7, 8, 1, 1], why: "1×1, vectors of weights and columns" },
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
  { x: [2, 3, 17], w: [4, 3, 5], bias: 4, pads: [2, 1], strides: [2], dilations: [2], why: "one axis" },
  { x: [1, 6, 31], w: [6, 1, 7], group: 6, auto_pad: "SAME_LOWER", why: "one axis, depthwise" },
  { x: [1, 2, 5, 6, 7], w: [3, 2, 2, 3, 2], bias: 3, pads: [1, 0, 1, 0, 2, 1], strides: [2, 1, 2], why: "three axes" },
  { x: [2, 4, 4, 5, 6], w: [4, 2, 3, 1, 2], group: 2, dilations: [1, 2, 3], auto_pad: "SAME_UPPER", why: "three axes" },
  { x: [1, 3, 6, 7], w: [4, 3, 3, 3], bias: 4, dtype: "float16" },
  { x: [1, 4, 6, 10], w: [5, 4, 3, 3], bias: 5, dtype: "float16", why: "float16 rows of whole vectors" },
  { x: [2, 3, 83], w: [5, 3, 39], bias: 5, pads: [19, 19], why: "a wide kernel" },
  { x: [1, 2, 3, 70], w: [3, 2, 2, 19], strides: [1, 2], dilations: [1, 2], why: "a wide kernel, dilated" },
  { x: [1, 4, 50], w: [4, 1, 16], group: 4, strides: [8], pads: [4, 4], why: "a wide kernel of whole vectors" },
  { x: [1, 3, 17, 21], w: [3, 1, 3, 3], group: 3, strides: [2, 1], dilations: [1, 2], why: "depthwise, large" },
  { x: [2, 2, 11, 40], w: [4, 1, 3, 5], bias: 4, group: 2, pads: [1, 2, 3, 2], why: "depthwise, rows of vectors" },
  { x: [1, 3, 2, 3, 5], w: [4, 3, 1, 1, 1], why: "three axes of a 1×1×1 kernel: one row" },
  { x: [1, 3, 2, 3, 5], w: [4, 3, 1, 1, 3], pads: [0, 0, 1, 0, 0, 1], why: "two of three axes merge" },
]);

export const convTransposeCases: readonly OperatorCase<ConvTransposeAttributes>[] = toCases<ConvTransposeAttributes>([
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
  { x: [2, 3, 7], w: [3, 2, 5], bias: 2, strides: [3], pads: [1, 2], output_padding: [2], why: "one axis" },
  { x: [1, 2, 5], w: [2, 1, 4], strides: [2], dilations: [3], group: 2, why: "one axis, stride and dilation" },
  { x: [1, 3, 4, 5], w: [3, 2, 3, 3], bias: 2, strides: [2, 2], dtype: "float16" },
  { x: [1, 2, 3, 2, 4], w: [2, 3, 3, 2, 3], bias: 3, strides: [2, 1, 3], pads: [1, 0, 0, 0, 1, 1], why: "three axes" },
  { x: [1, 2, 5, 6], w: [2, 3, 3, 4], strides: [4, 6], dilations: [6, 4], why: "strides and dilations share divisors" },
]);

export const convWeightGradientCases: readonly OperatorCase<ConvWeightGradientAttributes>[] =
  toCases<ConvWeightGradientAttributes>([
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
    { x: [2, 3, 17], dy: [2, 4, 6], kernel_shape: [5], strides: [2], dilations: [2], pads: [2, 1], why: "one axis" },
    {
      x: [1, 2, 5, 6, 7],
      dy: [1, 3, 3, 4, 5],
      kernel_shape: [2, 3, 2],
      strides: [2, 1, 2],
      pads: [1, 0, 1, 0, 0, 2],
      why: "three axes",
    },
  ]);
