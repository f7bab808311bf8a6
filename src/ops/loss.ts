// Cross-entropy of class scores, or of their logarithms' probabilities, against integer labels. They are compositions: the label picks its log-probability through a
// comparison with 0 … C-1, which fuses into one elementwise kernel, and the gradient follows through the parts.

import type { DType } from "../core/dtype.ts";
import { ShapeError, UsageError } from "../core/errors.ts";
import { formatShape, sameShape, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { tensorData } from "../core/tensorData.ts";
import { asFloat32, asType } from "./asType.ts";
import { div, equal, mul } from "./binary.ts";
import { formatInputs, requireDType } from "./check.ts";
import { reduceSum } from "./reduce.ts";
import {
  defineOperator,
  summationBound,
  type Builder,
  type CaseInput,
  type Operand,
  type OperatorCase,
  type Problem,
  type ReferenceInput,
  type ReferenceOutput,
} from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { logSoftmax } from "./softmax.ts";
import { neg } from "./unary.ts";
import { where } from "./where.ts";

export type LossAttributes = {
  /** "mean" (weighted by the classes' weights), "sum", or "none": one loss a label. */
  readonly reduction: string;
  /** Labels that count for nothing; undefined: all count. */
  readonly ignore_index: number | undefined;
};

const CROSS_ENTROPY = "SoftmaxCrossEntropyLoss";
const LOG_LIKELIHOOD = "NegativeLogLikelihoodLoss";
const REDUCTIONS = ["mean", "sum", "none"];

/** Checks the inputs of `who`; returns the types of the loss and of the scores. */
function inferLoss(
  who: string,
  inputs: readonly (TensorType | undefined)[],
  { reduction }: LossAttributes,
): [loss: TensorType, scores: TensorType] {
  const [scores, labels, weights] = inputs;
  if (!scores || !labels || inputs.length > 3)
    throw new ShapeError(`${who}: expected scores, labels and perhaps weights, got ${formatInputs(inputs)}`);
  requireDType(who, "scores", scores, "float");
  requireDType(who, "labels", labels, "integer");
  if (scores.shape.length < 2 || !sameShape(labels.shape, labelShape(scores.shape)))
    throw new ShapeError(
      `${who}: scores [N, C, d1, …] want labels [N, d1, …], got scores ${formatShape(scores.shape)} and labels ${formatShape(labels.shape)}`,
    );
  if (weights) {
    requireDType(who, "weights", weights, "float");
    if (!sameShape(weights.shape, [scores.shape[1]!]))
      throw new ShapeError(
        `${who}: weights must be [${scores.shape[1]}], one a class, got ${formatShape(weights.shape)}`,
      );
  }
  if (!REDUCTIONS.includes(reduction))
    throw new UsageError(`${who}: reduction must be ${REDUCTIONS.join(", ")}, got ${reduction}`);
  return [{ dtype: scores.dtype, shape: reduction === "none" ? labels.shape : [] }, scores];
}

/** [N, C, d1, …] → [N, d1, …] */
function labelShape(scores: Shape): number[] {
  return scores.filter((_, axis) => axis !== 1);
}

/** Labels of C classes. */
const labelsOf = (shape: Shape, classes: number, dtype: DType = "int32"): CaseInput => ({
  shape,
  dtype,
  low: 0,
  high: classes,
});

/** Class weights: positive. */
const weightsOf = (classes: number): CaseInput => ({ shape: [classes], low: 0.5, high: 2 });

/** What labels cost under log-probabilities [N, C, d1, …], with Σ|terms|. */
function referenceLoss(
  logProb: { readonly data: ArrayLike<number>; readonly terms: ArrayLike<number>; readonly shape: Shape },
  labels: ReferenceInput,
  weights: ReferenceInput | undefined,
  { reduction, ignore_index }: LossAttributes,
): ReferenceOutput {
  const classes = logProb.shape[1]!;
  const inner = sizeOf(logProb.shape.slice(2));
  const count = labels.data.length;
  const losses = new Float64Array(count);
  const terms = new Float64Array(count);
  let weightSum = 0;
  for (let i = 0; i < count; i++) {
    const label = labels.data[i]!;
    if (label === ignore_index || label < 0 || label >= classes) continue;
    const place = (Math.floor(i / inner) * classes + label) * inner + (i % inner);
    const weight = weights ? weights.data[label]! : 1;
    losses[i] = -weight * logProb.data[place]!;
    terms[i] = Math.abs(weight * logProb.terms[place]!);
    weightSum += weight;
  }
  if (reduction === "none") return { values: losses, terms };
  const divisor = reduction === "sum" || weightSum === 0 ? 1 : weightSum;
  const total = (values: Float64Array): Float64Array =>
    Float64Array.of(values.reduce((sum, value) => sum + value, 0) / divisor);
  return { values: total(losses), terms: total(terms) };
}

/** The same of operators, in float32. */
function composeLoss(
  build: Builder,
  logProb: Operand,
  labels: Operand,
  weights: Operand | undefined,
  { reduction, ignore_index }: LossAttributes,
): Operand {
  const [N, classes, ...inner] = logProb.shape;
  const labelColumn = reshapeTo(build, labels, [N!, 1, ...inner]);
  const isLabel = build.apply(equal, [labelColumn, classNumbers(build, classes!, inner.length, labels)]); // logProb's
  const weightColumn = classWeights(build, classes!, inner.length, weights, ignore_index); // [C, 1, …] or []
  const zero = build.constant(0);
  const sum = (x: Operand, axes: number[]): Operand => build.apply(reduceSum, [x], { axes, keepdims: 0 });

  const chosen = build.apply(where, [
    isLabel,
    weightColumn ? build.apply(mul, [logProb, weightColumn]) : logProb,
    zero,
  ]);
  if (reduction === "none") return build.apply(neg, [sum(chosen, [1])]);
  const total = build.apply(neg, [sum(chosen, [])]);
  if (reduction === "sum") return total;
  const weightSum = sum(build.apply(where, [isLabel, weightColumn ?? build.constant(1), zero]), []);
  const divisor = build.apply(where, [build.apply(equal, [weightSum, zero]), build.constant(1), weightSum]);
  return build.apply(div, [total, divisor]);
}

const lossBound = ({ inputs }: Problem<LossAttributes>): number => summationBound(sizeOf(inputs[1]!.shape)) + 4;

const lossCases: readonly OperatorCase<LossAttributes>[] = [
  { inputs: [[1, 1], labelsOf([1], 1)] },
  { inputs: [[3, 5], labelsOf([3], 5)] },
  { inputs: [[7, 10], labelsOf([7], 10, "uint32")] },
  { inputs: [[5, 3], labelsOf([5], 3, "int64")] },
  { inputs: [[65, 3], labelsOf([65], 3)], attributes: { reduction: "sum" } },
  { inputs: [[3, 65], labelsOf([3], 65)], attributes: { reduction: "none" } },
  { inputs: [[5, 4], labelsOf([5], 4), weightsOf(4)] },
  { inputs: [[5, 4], labelsOf([5], 4), weightsOf(4)], attributes: { reduction: "none", ignore_index: 2 } },
  { inputs: [[2, 3, 5], labelsOf([2, 5], 3), weightsOf(3)], attributes: { ignore_index: 0 } },
  { inputs: [[2, 3, 4, 5], labelsOf([2, 4, 5], 3)], attributes: { ignore_index: -100 } },
  { inputs: [[3, 4], labelsOf([3], 1)], attributes: { ignore_index: 0 }, why: "every label is ignored" },
  { inputs: [[0, 4], labelsOf([0], 4)], why: "no labels" },
];

/**
 * SoftmaxCrossEntropyLoss (ONNX): scores [N, C, d1, …], labels [N, d1, …] of an integer type, weights [C]. Outputs: the loss
 * (scalar, or [N, d1, …] with reduction "none") and log_prob, scores' LogSoftmax over the classes.
 *
 * A label l costs -weights[l] · log_prob[l]. "mean" divides the sum by the sum of the labels' weights. Labels equal to
 * `ignore_index`, and labels outside [0, C), cost 0 and weigh 0. Where nothing weighs anything (all labels ignored, or no
 * labels), "mean" is 0 with a gradient of 0, where PyTorch and ONNX give NaN: a batch without labels must not undo training.
 *
 * A composition: it declares no gradient, its parts do.
 */
export const softmaxCrossEntropyLoss = defineOperator<LossAttributes>({
  name: CROSS_ENTROPY,
  inputs: ["scores", "labels", "weights"],
  required: 2,
  outputs: ["output", "log_prob"],
  attributes: { reduction: "mean", ignore_index: undefined },
  infer: (inputs, attributes) => inferLoss(CROSS_ENTROPY, inputs, attributes),
  reference: ([scores, labels, weights], { inputs, outputs, attributes }) => {
    const [logProb] = logSoftmax.reference([scores], {
      inputs: inputs.slice(0, 1),
      outputs: outputs.slice(1),
      attributes: { axis: 1 },
    });
    const { values, terms = values } = logProb!;
    return [referenceLoss({ data: values, terms, shape: scores!.shape }, labels!, weights, attributes), logProb!];
  },
  errorBound: lossBound,
  flops: ({ inputs }) => 6 * sizeOf(inputs[0]!.shape),
  cases: lossCases,
  decompose: (build, [scores, labels, weights], attributes) => {
    const logProb = build.apply(logSoftmax, [asFloat32(build, scores!)], { axis: 1 });
    const loss = composeLoss(build, logProb, labels!, weights && asFloat32(build, weights), attributes);
    return [asType(build, loss, scores!.dtype), asType(build, logProb, scores!.dtype)];
  },
});

/**
 * NegativeLogLikelihoodLoss (ONNX): what labels cost under log-probabilities [N, C, d1, …], with weights, ignored labels and
 * reductions as {@link softmaxCrossEntropyLoss} has them. A composition.
 */
export const negativeLogLikelihoodLoss = defineOperator<LossAttributes>({
  name: LOG_LIKELIHOOD,
  inputs: ["input", "target", "weight"],
  required: 2,
  outputs: ["loss"],
  attributes: { reduction: "mean", ignore_index: undefined },
  infer: (inputs, attributes) => inferLoss(LOG_LIKELIHOOD, inputs, attributes).slice(0, 1),
  reference: ([input, target, weight], { attributes }) => [
    referenceLoss({ data: input!.data, terms: input!.data, shape: input!.shape }, target!, weight, attributes),
  ],
  errorBound: lossBound,
  flops: ({ inputs }) => 2 * sizeOf(inputs[0]!.shape),
  cases: lossCases,
  decompose: (build, [input, target, weight], attributes) => {
    const loss = composeLoss(build, asFloat32(build, input!), target!, weight && asFloat32(build, weight), attributes);
    return [asType(build, loss, input!.dtype)];
  },
});

/** 0 … C-1 in the labels' type, as [C, 1, …] to stand beside [N, C, d1, …]. */
function classNumbers(build: Builder, classes: number, innerRank: number, labels: Operand): Operand {
  const numbers = Array.from({ length: classes }, (_, index) => index);
  return build.constant(tensorData(numbers, columnShape(classes, innerRank), labels.dtype));
}

function columnShape(classes: number, innerRank: number): number[] {
  return [classes, ...new Array<number>(innerRank).fill(1)];
}

/** The classes' weights as [C, 1, …], 0 for the ignored class; undefined when every class weighs 1. */
function classWeights(
  build: Builder,
  classes: number,
  innerRank: number,
  weights: Operand | undefined,
  ignored: number | undefined,
): Operand | undefined {
  const shape = columnShape(classes, innerRank);
  const column = weights && reshapeTo(build, weights, shape);
  if (ignored === undefined || ignored < 0 || ignored >= classes) return column;
  const counts = Array.from({ length: classes }, (_, index) => (index === ignored ? 0 : 1));
  const mask = build.constant(tensorData(counts, shape));
  return column ? build.apply(mul, [column, mask]) : mask;
}
