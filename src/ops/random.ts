// Random tensors as compositions over PhiloxUniform: what is drawn is a pure function of a key (seed, step), so the CPU and
// every GPU draw the same uniform numbers, and a plan draws new ones when its key changes.

import type { DType } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { checkShape, formatShape, sizeOf, type TensorType } from "../core/shape.ts";
import { asType } from "./asType.ts";
import { argMax } from "./argMax.ts";
import { add, less, mul, sub } from "./binary.ts";
import { max } from "./extrema.ts";
import { requireDType, requireInputs } from "./check.ts";
import { drawUniform, KEY, philoxUniform, requireKey } from "./dropout.ts";
import { defineOperator, EPSILON, type Builder, type Operand, type Operator, type Problem } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { cos } from "./trigonometric.ts";
import { log, logError, neg, relu, sqrt } from "./unary.ts";

type Drawn = {
  /** Element type of the result. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Differs between call sites, so that they draw independent numbers; a word. */
  readonly stream: number;
};

export type RandomUniformAttributes = Drawn & { readonly low: number; readonly high: number };
export type RandomNormalAttributes = Drawn & { readonly mean: number; readonly scale: number };
export type BernoulliAttributes = Omit<Drawn, "shape">;
export type MultinomialAttributes = Omit<Drawn, "shape"> & { readonly sample_size: number };

function inferDrawn(name: string, inputs: readonly (TensorType | undefined)[], { dtype, shape }: Drawn): TensorType[] {
  const [key] = requireInputs(name, ["key"], inputs);
  requireKey(name, key!);
  checkShape(shape, name);
  const type = { dtype: dtype as DType, shape };
  requireDType(name, "the result", type, "float");
  return [type];
}

function noise(build: Builder, key: Operand | undefined, shape: readonly number[], stream: number): Operand {
  return build.apply(philoxUniform, [key], { shape, stream });
}

/**
 * RandomUniform (ONNX, with the randomness as an input): key (seed, step) uint32 [2] → `shape`, uniform in [low, high) in 2²⁴
 * steps. A float type.
 */
export const randomUniform: Operator<RandomUniformAttributes> = defineOperator<RandomUniformAttributes>({
  name: "RandomUniform",
  inputs: ["key"],
  outputs: ["output"],
  attributes: { dtype: "float32", high: 1, low: 0, shape: [], stream: 0 },
  infer: (inputs, attributes) => inferDrawn("RandomUniform", inputs, attributes),
  reference: ([key], { attributes: { low, high, shape, stream } }) => {
    const values = drawUniform(sizeOf(shape), key!, stream).map((u) => low + u * (high - low));
    return [{ values, terms: values.map((value) => Math.abs(value) + Math.abs(low)) }];
  },
  errorBound: () => 2,
  flops: ({ outputs }) => 2 * sizeOf(outputs[0]!.shape),
  cases: [
    { inputs: [KEY], attributes: { shape: [65] } },
    { inputs: [KEY], attributes: { shape: [3, 5], low: -2, high: 3, stream: 7 } },
    { inputs: [KEY], attributes: { shape: [] } },
    { inputs: [KEY], attributes: { shape: [0] } },
  ],
  decompose: (build, [key], { dtype, low, high, shape, stream }) => {
    const scaled = build.apply(mul, [noise(build, key, shape, stream), build.constant(high - low)]);
    return [asType(build, build.apply(add, [scaled, build.constant(low)]), dtype as DType)];
  },
});

/**
 * RandomNormal (ONNX, with the randomness as an input): key (seed, step) uint32 [2] → `shape`, normal with `mean` and standard
 * deviation `scale`, by Box and Muller from 24-bit uniforms: nothing is farther out than 5.8 deviations. A float type.
 * Draws from `stream` and the next one.
 */
export const randomNormal: Operator<RandomNormalAttributes> = defineOperator<RandomNormalAttributes>({
  name: "RandomNormal",
  inputs: ["key"],
  outputs: ["output"],
  attributes: { dtype: "float32", mean: 0, scale: 1, shape: [], stream: 0 },
  infer: (inputs, attributes) => inferDrawn("RandomNormal", inputs, attributes),
  reference: ([key], { attributes: { mean, scale, shape, stream } }) => {
    const size = sizeOf(shape);
    const turns = drawUniform(size, key!, stream + 1);
    const values = new Float64Array(size);
    const terms = new Float64Array(size);
    drawUniform(size, key!, stream).forEach((u, i) => {
      const square = -2 * Math.log(1 - u);
      const radius = Math.sqrt(square);
      values[i] = mean + scale * radius * Math.cos(2 * Math.PI * turns[i]!);
      // Near 0 the logarithm's error is absolute, and its root's is the root of it.
      const doubt = 2 * EPSILON * logError(1 - u);
      const radiusDoubt = Math.min(Math.sqrt(doubt), radius === 0 ? Infinity : doubt / radius);
      terms[i] = Math.abs(mean) + Math.abs(scale) * (8 * radius + radiusDoubt / EPSILON);
    });
    return [{ values, terms }];
  },
  errorBound: () => 2,
  flops: ({ outputs }) => 30 * sizeOf(outputs[0]!.shape),
  cases: [
    { inputs: [KEY], attributes: { shape: [257] } },
    { inputs: [KEY], attributes: { shape: [3, 5], mean: -2, scale: 3, stream: 7 } },
    { inputs: [KEY], attributes: { shape: [] } },
    { inputs: [KEY], attributes: { shape: [0] } },
  ],
  decompose: (build, [key], { dtype, mean, scale, shape, stream }) => {
    const u = noise(build, key, shape, stream);
    // Relu: log may be a little above 0 near 1.
    const square = build.apply(relu, [build.apply(mul, [logOfRest(build, u), build.constant(-2)])]);
    const angle = build.apply(mul, [noise(build, key, shape, stream + 1), build.constant(2 * Math.PI)]);
    const normal = build.apply(mul, [build.apply(sqrt, [square]), build.apply(cos, [angle])]);
    const scaled = build.apply(mul, [normal, build.constant(scale)]);
    return [asType(build, build.apply(add, [scaled, build.constant(mean)]), dtype as DType)];
  },
});

/** log(1 - u): the argument is never 0. */
function logOfRest(build: Builder, u: Operand): Operand {
  return build.apply(log, [build.apply(sub, [build.constant(1), u])]);
}

function resultType(dtype: string, input: TensorType): DType {
  return dtype === "" ? input.dtype : (dtype as DType);
}

/**
 * Bernoulli (ONNX, with the randomness as an input): input [..] of probabilities, key (seed, step) uint32 [2] → 1 with that
 * probability, else 0, of `dtype` ("": the input's).
 */
export const bernoulli: Operator<BernoulliAttributes> = defineOperator<BernoulliAttributes>({
  name: "Bernoulli",
  inputs: ["input", "key"],
  outputs: ["output"],
  attributes: { dtype: "", stream: 0 },
  infer: (inputs, { dtype }) => {
    const [input, key] = requireInputs("Bernoulli", ["input", "key"], inputs);
    requireDType("Bernoulli", "input", input!, "float");
    requireKey("Bernoulli", key!);
    return [{ dtype: resultType(dtype, input!), shape: input!.shape }];
  },
  reference: ([input, key], { attributes: { stream } }) => {
    const values = drawUniform(input!.data.length, key!, stream).map((u, i) => (u < input!.data[i]! ? 1 : 0));
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  flops: ({ outputs }) => sizeOf(outputs[0]!.shape),
  cases: [
    { inputs: [{ shape: [3, 65], low: 0, high: 1 }, KEY] },
    { inputs: [{ shape: [31], low: 0, high: 1 }, KEY], attributes: { dtype: "int32", stream: 3 } },
    { inputs: [{ shape: [], low: 0, high: 1 }, KEY], attributes: { dtype: "bool" } },
    { inputs: [[0], KEY] },
  ],
  decompose: (build, [input, key], { dtype, stream }) => {
    const u = noise(build, key, input!.shape, stream);
    const drawn = build.apply(less, [u, asType(build, input!, "float32")]);
    return [asType(build, drawn, resultType(dtype, input!))];
  },
});

/** What a waiting time is at least, so that it has a logarithm: half the smallest that is drawn. */
const SHORTEST = 2 ** -25;

/**
 * Multinomial (ONNX, with the randomness as an input): input [batch, classes] of logarithms of probabilities, up to a constant
 * a row; key (seed, step) uint32 [2] → [batch, sample_size] of classes, drawn with replacement; int32 or int64. Each sample is
 * the class whose exponential waiting time, at a rate of its probability, is shortest.
 */
export const multinomial: Operator<MultinomialAttributes> = defineOperator<MultinomialAttributes>({
  name: "Multinomial",
  inputs: ["input", "key"],
  outputs: ["output"],
  attributes: { dtype: "int32", sample_size: 1, stream: 0 },
  infer: (inputs, { dtype, sample_size }) => {
    const [input, key] = requireInputs("Multinomial", ["input", "key"], inputs);
    requireDType("Multinomial", "input", input!, "float");
    requireKey("Multinomial", key!);
    if (input!.shape.length !== 2 || input!.shape[1] === 0)
      throw new ShapeError(`Multinomial: expected input [batch, classes], got ${formatShape(input!.shape)}`);
    const type = { dtype: dtype as DType, shape: [input!.shape[0]!, sample_size] };
    requireDType("Multinomial", "the result", type, ["int32", "int64"]);
    return [type];
  },
  reference: ([input, key], { attributes: { stream }, outputs }) => {
    const [batch, samples] = outputs[0]!.shape as [number, number];
    const classes = input!.shape[1]!;
    const uniforms = drawUniform(batch * samples * classes, key!, stream);
    const values = Float64Array.from({ length: batch * samples }, (_, at) => {
      const score = (i: number): number => {
        const time = Math.max(-Math.log(1 - uniforms[at * classes + i]!), SHORTEST);
        return input!.data[Math.floor(at / samples) * classes + i]! - Math.log(time);
      };
      let best = 0;
      for (let i = 1; i < classes; i++) if (score(i) > score(best)) best = i;
      return best;
    });
    return [{ values }];
  },
  errorBound: () => 0,
  flops: multinomialFlops,
  cases: [
    { inputs: [[2, 5], KEY], attributes: { sample_size: 7 } },
    { inputs: [{ shape: [1, 33], low: -5, high: 5 }, KEY], attributes: { sample_size: 3, dtype: "int64", stream: 1 } },
    { inputs: [[3, 1], KEY] },
    { inputs: [[0, 3], KEY] },
  ],
  decompose: (build, [input, key], { dtype, sample_size, stream }) => {
    const [batch, classes] = input!.shape as [number, number];
    const u = noise(build, key, [batch, sample_size, classes], stream);
    const times = build.apply(max, [build.apply(neg, [logOfRest(build, u)]), build.constant(SHORTEST)]);
    const logits = reshapeTo(build, asType(build, input!, "float32"), [batch, 1, classes]);
    const scores = build.apply(sub, [logits, build.apply(log, [times])]);
    return [asType(build, build.apply(argMax, [scores], { axis: 2, keepdims: 0 }), dtype as DType)];
  },
});

function multinomialFlops({ inputs, outputs }: Problem<MultinomialAttributes>): number {
  return 30 * inputs[0]!.shape[1]! * sizeOf(outputs[0]!.shape);
}
