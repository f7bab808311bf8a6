// Conv, ConvTranspose and ConvWeightGradient: one sum solved for Y, for X and for W (see convGeometry.ts), and so each
// one's gradients are the other two. Taps in the padding add nothing; but where a weight is not finite, a strategy may
// multiply it by the padding's zero, as an implementation that pads its input does, and give NaN.

import { sizeOf } from "../core/shape.ts";
import { convCases, convTransposeCases, convWeightGradientCases } from "./convCases.ts";
import {
  accumulate,
  convFlops,
  convGeometry,
  convTransposeGeometry,
  convWeightGradientGeometry,
  resolveConv,
  resolveConvTranspose,
  resolveConvWeightGradient,
  startFromBias,
  type ConvAttributes,
  type ConvTransposeAttributes,
  type ConvWeightGradientAttributes,
  type ResolvedConv,
} from "./convGeometry.ts";
import { defineOperator, summationBound, type Builder, type Operand, type Operator } from "./operator.ts";
import { reduceSum } from "./expand.ts";

/** The window of a convolution as explicit attributes, for the two other operators of the family. */
function windowAttributes({ group, axes }: ResolvedConv): ConvWeightGradientAttributes {
  return {
    dilations: axes.map(({ dilation }) => dilation),
    group,
    kernel_shape: axes.map(({ kernel }) => kernel),
    pads: [...axes.map(({ padBegin }) => padBegin), ...axes.map(({ padEnd }) => padEnd)],
    strides: axes.map(({ stride }) => stride),
  };
}

/** The x that a convolution with `w` turns `y` back into. */
function backToX(build: Builder, resolved: ResolvedConv, y: Operand, w: Operand): Operand {
  return build.apply(convTranspose, [y, w], {
    ...windowAttributes(resolved),
    output_padding: resolved.axes.map(
      ({ extent, out, kernel, stride, dilation, padBegin, padEnd }) =>
        extent - ((out - 1) * stride + (kernel - 1) * dilation + 1 - padBegin - padEnd),
    ),
  });
}

function biasGradient(build: Builder, dY: Operand): Operand {
  const axes = dY.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
  return build.apply(reduceSum, [dY], { axes, keepdims: 0 });
}

/**
 * Convolution (cross-correlation) of X [N, C, …] with W [M, C/group, …kernel], plus B [M], over one to three spatial axes.
 * Source: ONNX Conv (opset 22).
 */
export const conv: Operator<ConvAttributes> = defineOperator<ConvAttributes>({
  name: "Conv",
  inputs: ["X", "W", "B"],
  required: 2,
  outputs: ["Y"],
  attributes: { auto_pad: "NOTSET", dilations: [], group: 1, kernel_shape: [], pads: [], strides: [] },

  infer(inputs, attributes) {
    const { N, M, axes } = resolveConv(inputs, attributes);
    return [{ dtype: inputs[0]!.dtype, shape: [N, M, ...axes.map(({ out }) => out)] }];
  },

  reference([X, W, B], problem) {
    const g = convGeometry(problem);
    const result = startFromBias(g.N, g.M, g.outD * g.outH * g.outW, B);
    accumulate(g, { x: X!.data, w: W!.data }, "y", result);
    return [result];
  },

  errorBound(problem) {
    const g = convGeometry(problem);
    return summationBound((g.C / g.group) * g.kD * g.kH * g.kW + 1);
  },

  flops: (problem) => convFlops(convGeometry(problem)),

  gradient({ build, attributes, inputs, outputGradients: [dY], wanted }) {
    const [X, W] = inputs;
    if (!X || !W || !dY) return [];
    const resolved = resolveConv(inputs, attributes);
    return [
      wanted[0] ? backToX(build, resolved, dY, W) : undefined,
      wanted[1] ? build.apply(convWeightGradient, [X, dY], windowAttributes(resolved)) : undefined,
      wanted[2] ? biasGradient(build, dY) : undefined,
    ];
  },

  cases: convCases,
});

/**
 * Transposed convolution of X [N, C, …] with W [C, M/group, …kernel], plus B [M], over one to three spatial axes: the
 * gradient of Conv with respect to its input. Source: ONNX ConvTranspose (opset 22).
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
    const { N, C, axes } = resolveConvTranspose(inputs, attributes);
    return [{ dtype: inputs[0]!.dtype, shape: [N, C, ...axes.map(({ extent }) => extent)] }];
  },

  reference([X, W, B], problem) {
    const g = convTransposeGeometry(problem);
    const result = startFromBias(g.N, g.C, g.D * g.H * g.W, B);
    accumulate(g, { w: W!.data, y: X!.data }, "x", result);
    return [result];
  },

  errorBound(problem) {
    const g = convTransposeGeometry(problem);
    return summationBound((g.M / g.group) * g.kD * g.kH * g.kW + 1);
  },

  flops: (problem) => convFlops(convTransposeGeometry(problem)),

  gradient({ build, attributes, inputs, outputGradients: [dY], wanted }) {
    const [X, W] = inputs;
    if (!X || !W || !dY) return [];
    const window = windowAttributes(resolveConvTranspose(inputs, attributes));
    return [
      wanted[0] ? build.apply(conv, [dY, W], window) : undefined,
      wanted[1] ? build.apply(convWeightGradient, [dY, X], window) : undefined,
      wanted[2] ? biasGradient(build, dY) : undefined,
    ];
  },

  cases: convTransposeCases,
});

/**
 * Gradient of Conv with respect to its weights: from X [N, C, …] and dY [N, M, …outs], dW [M, C/group, …kernel].
 * ONNX has no such operator.
 */
export const convWeightGradient: Operator<ConvWeightGradientAttributes> = defineOperator<ConvWeightGradientAttributes>({
  name: "ConvWeightGradient",
  inputs: ["X", "dY"],
  outputs: ["dW"],
  attributes: { dilations: [], group: 1, kernel_shape: [], pads: [], strides: [] },

  infer(inputs, attributes) {
    const { C, M, group, axes } = resolveConvWeightGradient(inputs, attributes);
    return [{ dtype: inputs[0]!.dtype, shape: [M, C / group, ...axes.map(({ kernel }) => kernel)] }];
  },

  reference([X, dY], problem) {
    const g = convWeightGradientGeometry(problem);
    const size = sizeOf(problem.outputs[0]!.shape);
    const result = { values: new Float64Array(size), terms: new Float64Array(size) };
    accumulate(g, { x: X!.data, y: dY!.data }, "w", result);
    return [result];
  },

  errorBound(problem) {
    const g = convWeightGradientGeometry(problem);
    return summationBound(g.N * g.outD * g.outH * g.outW);
  },

  flops: (problem) => convFlops(convWeightGradientGeometry(problem)),

  // dW is linear in X and in dY, and ⟨G, dW(X, dY)⟩ = ⟨Conv(X, G), dY⟩ for any G: a ddW takes the place of the weights.
  gradient({ build, attributes, inputs, outputGradients: [G], wanted }) {
    const [X, dY] = inputs;
    if (!X || !dY || !G) return [];
    const resolved = resolveConvWeightGradient(inputs, attributes);
    return [
      wanted[0] ? backToX(build, resolved, dY, G) : undefined,
      wanted[1] ? build.apply(conv, [X, G], windowAttributes(resolved)) : undefined,
    ];
  },

  cases: convWeightGradientCases,
});
