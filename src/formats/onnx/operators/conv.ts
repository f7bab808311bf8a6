// Convolutions. Conv itself goes over as it is; the others are Conv with something before or behind it, which the fuser
// puts back into one kernel where it can.

import { add, mul } from "../../../ops/binary.ts";
import { max, min } from "../../../ops/extrema.ts";
import { leakyRelu } from "../../../ops/activations.ts";
import { concatenate } from "../../../ops/concat.ts";
import { conv as convolution } from "../../../ops/conv.ts";
import { convTranspose } from "../../../ops/convBack.ts";
import { deformConv } from "../../../ops/deformConv.ts";
import type { Builder, Operand } from "../../../ops/operator.ts";
import { scalar } from "../../../ops/scalar.ts";
import { pad, sliceAxis } from "../../../ops/slice.ts";
import { relu } from "../../../ops/unary.ts";
import { sigmoid, tanh } from "../../../ops/sigmoid.ts";
import { direct, type Call, type Handler, type Handlers } from "../handler.ts";
import { windowOf } from "./window.ts";

/** The activation a fused operator names, with its parameters in ONNX's order. */
function activate(call: Call, x: Operand): Operand {
  const { build } = call;
  const name = call.string("activation", "");
  const parameters = call.floats("activation_params", [])!;
  const parameter = (i: number, otherwise: number): Operand => scalar(build, parameters[i] ?? otherwise, x);
  const clip = (value: Operand, low: Operand, high: Operand): Operand =>
    build.apply(min, [build.apply(max, [value, low]), high]);
  switch (name) {
    case "":
      return x;
    case "Relu":
      return build.apply(relu, [x]);
    case "Tanh":
      return build.apply(tanh, [x]);
    case "Sigmoid":
      return build.apply(sigmoid, [x]);
    case "LeakyRelu":
      return build.apply(leakyRelu, [x], { alpha: parameters[0] ?? 0.01 });
    case "Clip":
      return clip(x, parameter(0, -Infinity), parameter(1, Infinity));
    case "HardSigmoid": {
      const line = build.apply(add, [build.apply(mul, [x, parameter(0, 0.2)]), parameter(1, 0.5)]);
      return clip(line, scalar(build, 0, x), scalar(build, 1, x));
    }
    default:
      throw call.unsupported(`activation ${name} is not known`);
  }
}

/** Conv, plus a residual Z, then an activation. Source: ONNX Runtime's contributed operators. */
const fusedConv: Handler = (call) => {
  const [X, W, B, Z] = call.operands();
  const y = call.build.apply(convolution, [X, W, B], { ...windowOf(call), group: call.int("group", 1) });
  return activate(call, Z ? call.build.apply(add, [y, Z]) : y);
};

/** ConvTranspose; some exporters give `output_shape` with the batch and the channels in front. */
const transposed: Handler = (call) => {
  const spatial = call.operand(0).shape.length - 2;
  return call.build.apply(convTranspose, call.operands(), {
    ...windowOf(call),
    group: call.int("group", 1),
    output_padding: call.ints("output_padding", [])!,
    output_shape: call.ints("output_shape", [])!.slice(-spatial),
  });
};

/** `count` elements of a sequence [B, C, length] before its end. */
const last = (build: Builder, sequence: Operand, count: number): Operand =>
  sliceAxis(build, sequence, 2, sequence.shape[2]! - count, count);

/**
 * A depthwise convolution over the past only: what it would read before the start is carried from call to call.
 * Source: ONNX CausalConvWithState (opset 27).
 */
const causalConvWithState: Handler = (call) => {
  const { build } = call;
  const [x, w, bias, past] = call.operands();
  if (call.int("ndim", 1) !== 1) throw call.unsupported("only one spatial axis is supported");
  const state = w!.shape[2]! - 1;
  const sequence = past ? concatenate(build, [past, x!], 2) : x!;
  let y = build.apply(convolution, [sequence, w, bias], { group: x!.shape[1]!, pads: past ? [0, 0] : [state, 0] });
  const activation = call.string("activation", "none");
  if (activation === "silu" || activation === "swish") y = build.apply(mul, [y, build.apply(sigmoid, [y])]);
  else if (activation !== "none") throw call.unsupported(`activation ${activation} is not known`);
  if (!call.wants(1)) return y;
  const isShort = sequence.shape[2]! < state;
  const padded = isShort ? build.apply(pad, [sequence], { pads: [0, 0, state, 0, 0, 0] }) : sequence;
  return [y, last(build, padded, state)];
};

export const conv: Handlers = {
  CausalConvWithState: causalConvWithState,
  Conv: direct(convolution),
  ConvTranspose: transposed,
  DeformConv: direct(deformConv),
  "com.microsoft::CausalConvWithState": causalConvWithState,
  "com.microsoft::FusedConv": fusedConv,
};
