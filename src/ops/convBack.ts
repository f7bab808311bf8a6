// ConvTranspose and ConvWeightGradient: the sum of Conv (see convGeometry.ts) solved for X and for W. They stand apart from
// Conv because a page that only infers seldom needs them.

import { sizeOf } from "../core/shape.ts";
import { backToX, biasGradient, conv, windowAttributes } from "./conv.ts";
import {
  convTransposeGeometry,
  convWeightGradientGeometry,
  resolveConvTranspose,
  resolveConvWeightGradient,
} from "./convBackGeometry.ts";
import { convTransposeCases, convWeightGradientCases } from "./convCases.ts";
import {
  accumulate,
  convFlops,
  startFromBias,
  type ConvTransposeAttributes,
  type ConvWeightGradientAttributes,
} from "./convGeometry.ts";
import { defineOperator, summationBound, type Operator } from "./operator.ts";

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
  gradient(context) {
    const { build, attributes, inputs, wanted } = context;
    const [X, dY] = inputs;
    const [G] = context.outputGradients;
    if (!X || !dY || !G) return [];
    const resolved = resolveConvWeightGradient(inputs, attributes);
    return [
      wanted[0] ? backToX(context, resolved, dY, G) : undefined,
      wanted[1] ? build.apply(conv, [X, G], windowAttributes(resolved)) : undefined,
    ];
  },

  cases: convWeightGradientCases,
});
