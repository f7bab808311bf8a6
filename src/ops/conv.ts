// Conv. With ConvTranspose and ConvWeightGradient (convBack.ts) it is one sum, solved for Y, for X and for W (see
// convGeometry.ts), and so each one's gradients are the other two. Taps in the padding add nothing; but where a weight is
// not finite, a strategy may multiply it by the padding's zero, as an implementation that pads its input does, and give
// NaN; Winograd's method gives NaN for a whole tile where an input of it or a weight is not finite.

import { convCases } from "./convCases.ts";
import {
  accumulate,
  convFlops,
  convGeometry,
  resolveConv,
  startFromBias,
  type ConvAttributes,
  type ConvWeightGradientAttributes,
  type ResolvedConv,
} from "./convGeometry.ts";
import {
  defineOperator,
  summationBound,
  type Builder,
  type GradientContext,
  type Operand,
  type Operator,
} from "./operator.ts";
import { reduceSum } from "./reduce.ts";

/** The window of a convolution as explicit attributes, for the two other operators of the family. */
export function windowAttributes({ group, axes }: ResolvedConv): ConvWeightGradientAttributes {
  return {
    dilations: axes.map(({ dilation }) => dilation),
    group,
    kernel_shape: axes.map(({ kernel }) => kernel),
    pads: [...axes.map(({ padBegin }) => padBegin), ...axes.map(({ padEnd }) => padEnd)],
    strides: axes.map(({ stride }) => stride),
  };
}

/** The x that a convolution with `w` turns `y` back into. */
export function backToX(
  { build, operators }: Pick<GradientContext, "build" | "operators">,
  resolved: ResolvedConv,
  y: Operand,
  w: Operand,
): Operand {
  return build.apply(operators.convTranspose, [y, w], {
    ...windowAttributes(resolved),
    output_padding: resolved.axes.map(
      ({ extent, out, kernel, stride, dilation, padBegin, padEnd }) =>
        extent - ((out - 1) * stride + (kernel - 1) * dilation + 1 - padBegin - padEnd),
    ),
  });
}

export function biasGradient(build: Builder, dY: Operand): Operand {
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

  gradient(context) {
    const { build, operators, attributes, inputs, wanted } = context;
    const [X, W] = inputs;
    const [dY] = context.outputGradients;
    if (!X || !W || !dY) return [];
    const resolved = resolveConv(inputs, attributes);
    return [
      wanted[0] ? backToX(context, resolved, dY, W) : undefined,
      wanted[1] ? build.apply(operators.convWeightGradient, [X, dY], windowAttributes(resolved)) : undefined,
      wanted[2] ? biasGradient(build, dY) : undefined,
    ];
  },

  cases: convCases,
});
