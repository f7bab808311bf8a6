// Normalisations: compositions of Standardization or of reductions with elementwise scales and shifts, which fuse into
// one kernel. BatchNormalization at inference is one scale and one shift a channel; where its statistics are constants these
// fold into two constants, and the whole becomes the epilogue of the convolution before it. All compute in float32; other
// float types are cast on the way in and out.

import { broadcastShapes } from "../core/broadcast.ts";
import type { DType } from "../core/dtype.ts";
import { ShapeError, UsageError } from "../core/errors.ts";
import { formatShape, normalizeAxis, sameShape, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import { asFloat32, asType } from "./asType.ts";
import { add, div, equal, mul, sub } from "./binary.ts";
import { formatInputs, requireDType } from "./check.ts";
import { defineOperator, type Builder, type CaseInput, type Operand, type ReferenceInput } from "./operator.ts";
import { averagePool } from "./averagePool.ts";
import { eachBroadcast } from "./pointwise.ts";
import { pow } from "./pow.ts";
import { reduceL1 } from "./reduceSums.ts";
import { reduceL2 } from "./reduceComposed.ts";
import { reshapeTo } from "./reshape.ts";
import { composedMoments, momentsOf, standardize } from "./standardization.ts";
import { reciprocal, sqrt } from "./unary.ts";
import { where } from "./where.ts";

/** The inputs of an operator, all of float types; the first `required` must be there. */
function floats(
  who: string,
  inputs: readonly (TensorType | undefined)[],
  names: readonly string[],
  required: number,
): TensorType {
  if (inputs.length > names.length || inputs.slice(0, required).some((type) => !type) || inputs.length < required)
    throw new ShapeError(`${who}: expected ${names.join(", ")}, got ${formatInputs(inputs)}`);
  inputs.forEach((type, i) => {
    if (type) requireDType(who, names[i]!, type, "float");
  });
  return inputs[0]!;
}

/** Throws {@link ShapeError} unless `operand` broadcasts to `shape`. */
function checkBroadcasts(who: string, name: string, operand: TensorType | undefined, shape: Shape): void {
  if (operand && !sameShape(broadcastShapes([operand.shape, shape], who), shape))
    throw new ShapeError(`${who}: ${name} ${formatShape(operand.shape)} does not broadcast to ${formatShape(shape)}`);
}

function checkLength(who: string, name: string, operand: TensorType | undefined, ...lengths: readonly number[]): void {
  if (operand && !(operand.shape.length === 1 && lengths.includes(operand.shape[0]!)))
    throw new ShapeError(`${who}: ${name} must be [${lengths.join("] or [")}], got ${formatShape(operand.shape)}`);
}

/** The axes from `axis` on. */
function axesFrom(axis: number, rank: number, who: string): number[] {
  const first = normalizeAxis(axis, rank, who);
  return Array.from({ length: rank - first }, (_, i) => first + i);
}

/** x · scale + shift in the broadcast shape of x; absent ones leave x as it is. */
function scaledAndShifted(build: Builder, x: Operand, scale: Operand | undefined, shift: Operand | undefined): Operand {
  const scaled = scale ? build.apply(mul, [x, scale]) : x;
  return shift ? build.apply(add, [scaled, shift]) : scaled;
}

/** The same on numbers: scale and shift are read where they broadcast to. */
function affine(x: Float64Array, shape: Shape, scale?: ReferenceInput, shift?: ReferenceInput): Float64Array {
  const result = Float64Array.from(x);
  if (scale) eachBroadcast([scale.shape], shape, ([place], i) => (result[i]! *= scale.data[place!]!));
  if (shift) eachBroadcast([shift.shape], shape, ([place], i) => (result[i]! += shift.data[place!]!));
  return result;
}

/** A parameter of each of C channels as it stands beside [N, C, d1, …]: [C, 1, …]. */
const channelShape = (rank: number, channels: number): number[] => [
  channels,
  ...new Array<number>(Math.max(0, rank - 2)).fill(1),
];

const asChannels = (input: ReferenceInput | undefined, rank: number): ReferenceInput | undefined =>
  input && { ...input, shape: channelShape(rank, input.data.length) };

/** Standardized values with scale and shift; the references of this file. */
function referenceOf(
  x: ReferenceInput,
  attributes: { axes: readonly number[]; epsilon: number; centered: number },
  scale?: ReferenceInput,
  shift?: ReferenceInput,
): { values: Float64Array; mean: Float64Array; inverse: Float64Array } {
  const { setOf, mean, inverse } = momentsOf(x.data, x.shape, attributes);
  const standard = Float64Array.from(x.data, (value, i) => (value - mean[setOf[i]!]!) * inverse[setOf[i]!]!);
  return { values: affine(standard, x.shape, scale, shift), mean, inverse };
}

/** Roundings of the parts, generously: these operators run as their parts, each with a bound of its own. */
const composedBound = (): number => 64;

/** Scales and variances of cases: positive. */
const positive = (...shape: number[]): CaseInput => ({ shape, low: 0.5, high: 2 });

export type LayerNormalizationAttributes = {
  /** The first axis of those that are normalised together. */
  readonly axis: number;
  readonly epsilon: number;
};

const LAYER = "LayerNormalization";

/**
 * LayerNormalization (ONNX): X [..] standardized over the axes from `axis` on, then · Scale + B, which broadcast to X.
 * Outputs: Y, and the Mean and InvStdDev it used, float32 with extents of 1 along those axes. A composition.
 */
export const layerNormalization = defineOperator<LayerNormalizationAttributes>({
  name: LAYER,
  inputs: ["X", "Scale", "B"],
  required: 2,
  outputs: ["Y", "Mean", "InvStdDev"],
  attributes: { axis: -1, epsilon: 1e-5 },
  infer: (inputs, { axis }) => {
    const x = floats(LAYER, inputs, ["X", "Scale", "B"], 2);
    const axes = axesFrom(axis, x.shape.length, LAYER);
    checkBroadcasts(LAYER, "Scale", inputs[1], x.shape);
    checkBroadcasts(LAYER, "B", inputs[2], x.shape);
    const statistics = {
      dtype: "float32",
      shape: x.shape.map((extent, i) => (axes.includes(i) ? 1 : extent)),
    } as const;
    return [x, statistics, statistics];
  },
  reference: ([x, scale, shift], { attributes: { axis, epsilon } }) => {
    const axes = axesFrom(axis, x!.shape.length, LAYER);
    const { values, mean, inverse } = referenceOf(x!, { axes, epsilon, centered: 1 }, scale, shift);
    return [{ values }, { values: mean }, { values: inverse }];
  },
  errorBound: composedBound,
  flops: ({ inputs }) => 9 * sizeOf(inputs[0]!.shape),
  cases: [
    { inputs: [[5], [5], [5]] },
    { inputs: [[3, 7], [7], [7]] },
    { inputs: [[3, 7], [7]], why: "no B" },
    {
      inputs: [
        [2, 3, 5],
        [3, 5],
        [3, 5],
      ],
      attributes: { axis: 1, epsilon: 0.1 },
    },
    { inputs: [[2, 3, 5], [5], [1]], attributes: { axis: 0 }, why: "Scale and B broadcast" },
    { inputs: [[2, 3, 5], [2, 1, 5], [5]], attributes: { axis: -1 }, why: "a Scale for each example" },
    { inputs: [[0, 3], [3], [3]] },
  ],
  decompose: (build, [given, scale, shift], { axis, epsilon }) => {
    const x = asFloat32(build, given!);
    const attributes = { axes: axesFrom(axis, x.shape.length, LAYER), epsilon, centered: 1 };
    const y = scaledAndShifted(
      build,
      standardize(build, x, attributes),
      scale && asFloat32(build, scale),
      shift && asFloat32(build, shift),
    );
    const { mean, inverse } = composedMoments(build, x, attributes); // dead unless somebody reads them
    return [asType(build, y, given!.dtype), mean, inverse];
  },
});

const RMS = "RMSNormalization";

/**
 * RMSNormalization (ONNX): X [..] divided by its root mean square over the axes from `axis` on, then · scale, which broadcasts
 * to X and gives Y its type. A composition.
 */
export const rmsNormalization = defineOperator<LayerNormalizationAttributes>({
  name: RMS,
  inputs: ["X", "scale"],
  outputs: ["Y"],
  attributes: { axis: -1, epsilon: 1e-5 },
  infer: (inputs, { axis }) => {
    const x = floats(RMS, inputs, ["X", "scale"], 2);
    axesFrom(axis, x.shape.length, RMS);
    checkBroadcasts(RMS, "scale", inputs[1], x.shape);
    return [{ dtype: inputs[1]!.dtype, shape: x.shape }];
  },
  reference: ([x, scale], { attributes: { axis, epsilon } }) => {
    const axes = axesFrom(axis, x!.shape.length, RMS);
    return [{ values: referenceOf(x!, { axes, epsilon, centered: 0 }, scale).values }];
  },
  errorBound: composedBound,
  flops: ({ inputs }) => 6 * sizeOf(inputs[0]!.shape),
  cases: [
    { inputs: [[5], [5]] },
    { inputs: [[3, 7], [7]] },
    {
      inputs: [
        [2, 3, 5],
        [3, 5],
      ],
      attributes: { axis: 1, epsilon: 0.1 },
    },
    { inputs: [[2, 3, 5], [1]], attributes: { axis: -3 } },
  ],
  decompose: (build, [given, scale], { axis, epsilon }) => {
    const x = asFloat32(build, given!);
    const axes = axesFrom(axis, x.shape.length, RMS);
    const standard = standardize(build, x, { axes, epsilon, centered: 0 });
    const y = build.apply(mul, [standard, asFloat32(build, scale!)]);
    return [asType(build, y, scale!.dtype)];
  },
});

export type InstanceNormalizationAttributes = {
  readonly epsilon: number;
};

const INSTANCE = "InstanceNormalization";
const INSTANCE_NAMES = ["input", "scale", "B"];

/** The axes of [N, C, d1, …] behind the first `from`. */
const spatialAxes = (rank: number, from = 2): number[] =>
  Array.from({ length: Math.max(0, rank - from) }, (_, i) => from + i);

/**
 * InstanceNormalization (ONNX): each channel of each example of input [N, C, d1, …] standardized, then · scale [C] + B [C].
 * A composition.
 */
export const instanceNormalization = defineOperator<InstanceNormalizationAttributes>({
  name: INSTANCE,
  inputs: INSTANCE_NAMES,
  outputs: ["output"],
  attributes: { epsilon: 1e-5 },
  infer: (inputs) => {
    const x = floats(INSTANCE, inputs, INSTANCE_NAMES, 3);
    if (x.shape.length < 2) throw new ShapeError(`${INSTANCE}: input must be [N, C, …], got ${formatShape(x.shape)}`);
    checkLength(INSTANCE, "scale", inputs[1], x.shape[1]!);
    checkLength(INSTANCE, "B", inputs[2], x.shape[1]!);
    return [x];
  },
  reference: ([x, scale, shift], { attributes: { epsilon } }) => {
    const rank = x!.shape.length;
    const attributes = { axes: spatialAxes(rank), epsilon, centered: 1 };
    return [{ values: referenceOf(x!, attributes, asChannels(scale, rank), asChannels(shift, rank)).values }];
  },
  errorBound: composedBound,
  flops: ({ inputs }) => 9 * sizeOf(inputs[0]!.shape),
  cases: [
    { inputs: [[2, 3, 5], [3], [3]] },
    { inputs: [[2, 3, 5, 4], [3], [3]], attributes: { epsilon: 0.1 } },
    { inputs: [[1, 2, 3, 2, 3], [2], [2]] },
    { inputs: [[2, 3], [3], [3]], why: "one element a channel" },
  ],
  decompose: (build, [given, scale, shift], { epsilon }) => {
    const x = asFloat32(build, given!);
    const column = (parameter: Operand): Operand =>
      reshapeTo(build, asFloat32(build, parameter), channelShape(x.shape.length, x.shape[1]!));
    const standard = standardize(build, x, { axes: spatialAxes(x.shape.length), epsilon, centered: 1 });
    return [asType(build, scaledAndShifted(build, standard, column(scale!), column(shift!)), given!.dtype)];
  },
});

export type GroupNormalizationAttributes = {
  readonly num_groups: number;
  readonly epsilon: number;
};

const GROUP = "GroupNormalization";
const GROUP_NAMES = ["X", "scale", "bias"];

/** [N, C, d1, …] → [N, groups, C / groups, d1 · …] */
function groupedShape([N, C, ...inner]: Shape, groups: number): number[] {
  return [N!, groups, C! / groups, sizeOf(inner)];
}

/** How a parameter of each channel or each group stands beside {@link groupedShape}. */
const groupedParameter = (length: number, groups: number): number[] => [groups, length / groups, 1];

/**
 * GroupNormalization (ONNX): the channels of X [N, C, d1, …] standardized in `num_groups` groups, then · scale + bias, one a
 * channel [C], as since opset 21, or one a group [num_groups], as in opset 18. A composition.
 */
export const groupNormalization = defineOperator<GroupNormalizationAttributes>({
  name: GROUP,
  inputs: GROUP_NAMES,
  outputs: ["Y"],
  attributes: { num_groups: 1, epsilon: 1e-5 },
  infer: (inputs, { num_groups }) => {
    const x = floats(GROUP, inputs, GROUP_NAMES, 3);
    if (x.shape.length < 2 || num_groups < 1 || x.shape[1]! % num_groups !== 0)
      throw new ShapeError(
        `${GROUP}: X [N, C, …] with C divisible into ${num_groups} groups, got ${formatShape(x.shape)}`,
      );
    checkLength(GROUP, "scale", inputs[1], x.shape[1]!, num_groups);
    checkLength(GROUP, "bias", inputs[2], x.shape[1]!, num_groups);
    return [x];
  },
  reference: ([x, scale, bias], { attributes: { num_groups, epsilon } }) => {
    const parameter = (input: ReferenceInput): ReferenceInput => ({
      ...input,
      shape: groupedParameter(input.data.length, num_groups),
    });
    const grouped = { ...x!, shape: groupedShape(x!.shape, num_groups) };
    const attributes = { axes: [2, 3], epsilon, centered: 1 };
    return [{ values: referenceOf(grouped, attributes, parameter(scale!), parameter(bias!)).values }];
  },
  errorBound: composedBound,
  flops: ({ inputs }) => 9 * sizeOf(inputs[0]!.shape),
  cases: [
    { inputs: [[2, 6, 5], [6], [6]], attributes: { num_groups: 2 } },
    { inputs: [[2, 6, 3, 4], [3], [3]], attributes: { num_groups: 3, epsilon: 0.1 }, why: "a scale for each group" },
    { inputs: [[3, 4], [4], [4]], attributes: { num_groups: 2 } },
    { inputs: [[2, 3, 5], [3], [3]], attributes: { num_groups: 3 } },
  ],
  decompose: (build, [given, scale, bias], { num_groups, epsilon }) => {
    const x = reshapeTo(build, asFloat32(build, given!), groupedShape(given!.shape, num_groups));
    const parameter = (input: Operand): Operand =>
      reshapeTo(build, asFloat32(build, input), groupedParameter(input.shape[0]!, num_groups));
    const standard = standardize(build, x, { axes: [2, 3], epsilon, centered: 1 });
    const y = scaledAndShifted(build, standard, parameter(scale!), parameter(bias!));
    return [asType(build, reshapeTo(build, y, given!.shape), given!.dtype)];
  },
});

export type BatchNormalizationAttributes = {
  readonly epsilon: number;
  /** How much of the running statistics stays. */
  readonly momentum: number;
  /** 1: normalise by the batch's own statistics, and give the running ones, moved towards them. */
  readonly training_mode: number;
};

const BATCH = "BatchNormalization";
const BATCH_NAMES = ["X", "scale", "B", "input_mean", "input_var"];

/** All axes but the channels'. */
const batchAxes = (rank: number): number[] => [0, ...spatialAxes(rank)];

/**
 * BatchNormalization (ONNX): X [N, C, d1, …] → (X - mean) / √(var + epsilon) · scale + B, with scale, B, input_mean and
 * input_var [C]. In training mode by the batch's own mean and (population) variance, with the outputs running_mean and
 * running_var [C]: momentum · input + (1 - momentum) · batch. A composition.
 */
export const batchNormalization = defineOperator<BatchNormalizationAttributes>({
  name: BATCH,
  inputs: BATCH_NAMES,
  outputs: ["Y", "running_mean", "running_var"],
  attributes: { epsilon: 1e-5, momentum: 0.9, training_mode: 0 },
  infer: (inputs, { training_mode }) => {
    const x = floats(BATCH, inputs, BATCH_NAMES, 5);
    const channels = x.shape.length < 2 ? 1 : x.shape[1]!;
    inputs.slice(1).forEach((input, i) => {
      checkLength(BATCH, BATCH_NAMES[i + 1]!, input, channels);
    });
    return training_mode === 0 ? [x] : [x, inputs[3]!, inputs[4]!];
  },
  reference: ([x, scale, shift, mean, variance], { attributes: { epsilon, momentum, training_mode } }) => {
    const rank = x!.shape.length;
    if (training_mode !== 0) {
      const attributes = { axes: batchAxes(rank), epsilon, centered: 1 };
      const batch = referenceOf(x!, attributes, asChannels(scale, rank), asChannels(shift, rank));
      const moved = (running: ReferenceInput, own: Float64Array): Float64Array =>
        own.map((value, i) => momentum * running.data[i]! + (1 - momentum) * value);
      return [
        { values: batch.values },
        { values: moved(mean!, batch.mean) },
        {
          values: moved(
            variance!,
            batch.inverse.map((value) => 1 / (value * value) - epsilon),
          ),
        },
      ];
    }
    const values = new Float64Array(x!.data.length);
    eachBroadcast([channelShape(rank, scale!.data.length)], x!.shape, ([c], i) => {
      const inverse = 1 / Math.sqrt(variance!.data[c!]! + epsilon);
      values[i] = (x!.data[i]! - mean!.data[c!]!) * inverse * scale!.data[c!]! + shift!.data[c!]!;
    });
    return [{ values }];
  },
  errorBound: composedBound,
  flops: ({ inputs }) => 2 * sizeOf(inputs[0]!.shape),
  cases: [
    { inputs: [[2, 3, 4, 5], [3], [3], [3], positive(3)] },
    { inputs: [[2, 3], [3], [3], [3], positive(3)], attributes: { epsilon: 0.1 } },
    { inputs: [[5], [1], [1], [1], positive(1)], why: "no channels" },
    { inputs: [[2, 3, 7], [3], [3], [3], positive(3)], attributes: { training_mode: 1 } },
    { inputs: [[5, 3], [3], [3], [3], positive(3)], attributes: { training_mode: 1, momentum: 0.5 } },
    { inputs: [[0, 3, 2], [3], [3], [3], positive(3)] },
  ],
  decompose: (build, inputs, { epsilon, momentum, training_mode }) => {
    const given = inputs[0]!;
    const [x, scale, shift, mean, variance] = inputs.map((input) => asFloat32(build, input!)) as [Operand, Operand, Operand, Operand, Operand]; // prettier-ignore
    const rank = x.shape.length;
    const column = (parameter: Operand): Operand =>
      reshapeTo(build, parameter, channelShape(rank, parameter.shape[0]!));
    if (training_mode === 0)
      return [asType(build, normalizedBy(build, x, column, [scale, shift, mean, variance], epsilon), given.dtype)];
    const attributes = { axes: batchAxes(rank), epsilon, centered: 1 };
    const standard = standardize(build, x, attributes);
    const y = scaledAndShifted(build, standard, column(scale), column(shift));
    const moments = composedMoments(build, x, attributes);
    const moved = (running: Operand, own: Operand, dtype: DType): Operand => {
      const kept = build.apply(mul, [running, build.constant(momentum)]);
      const share = build.apply(mul, [reshapeTo(build, own, running.shape), build.constant(1 - momentum)]);
      return asType(build, build.apply(add, [kept, share]), dtype);
    };
    return [
      asType(build, y, given.dtype),
      moved(mean, moments.mean, inputs[3]!.dtype),
      moved(variance, moments.variance, inputs[4]!.dtype),
    ];
  },
});

/**
 * x · s + t with s = scale / √(variance + epsilon) and t = shift - mean · s: two constants where the statistics are. `column`
 * makes a parameter stand beside x.
 */
export function normalizedBy(
  build: Builder,
  x: Operand,
  column: (parameter: Operand) => Operand,
  [scale, shift, mean, variance]: readonly [Operand, Operand, Operand, Operand],
  epsilon: number,
): Operand {
  const deviation = build.apply(sqrt, [build.apply(add, [variance, build.constant(epsilon)])]);
  const s = build.apply(mul, [scale, build.apply(reciprocal, [deviation])]);
  const t = build.apply(sub, [shift, build.apply(mul, [mean, s])]);
  return scaledAndShifted(build, x, column(s), column(t));
}

export type LpNormalizationAttributes = {
  readonly axis: number;
  /** 1 or 2. */
  readonly p: number;
};

const LP = "LpNormalization";

/** LpNormalization (ONNX): input [..] divided by its Lp norm along `axis`; where that is 0, 0. p is 1 or 2. A composition. */
export const lpNormalization = defineOperator<LpNormalizationAttributes>({
  name: LP,
  inputs: ["input"],
  outputs: ["output"],
  attributes: { axis: -1, p: 2 },
  infer: (inputs, { axis, p }) => {
    const x = floats(LP, inputs, ["input"], 1);
    normalizeAxis(axis, x.shape.length, LP);
    if (p !== 1 && p !== 2) throw new UsageError(`${LP}: p must be 1 or 2, got ${p}`);
    return [x];
  },
  reference: ([x], { attributes: { axis, p } }) => {
    const at = normalizeAxis(axis, x!.shape.length, LP);
    const kept = x!.shape.map((extent, i) => (i === at ? 1 : extent));
    const sums = new Float64Array(sizeOf(kept));
    eachBroadcast([kept], x!.shape, ([row], i) => (sums[row!]! += Math.abs(x!.data[i]!) ** p));
    const values = Float64Array.from(x!.data);
    eachBroadcast([kept], x!.shape, ([row], i) => (values[i]! /= sums[row!]! ** (1 / p) || 1));
    return [{ values }];
  },
  errorBound: composedBound,
  flops: ({ inputs }) => 3 * sizeOf(inputs[0]!.shape),
  cases: [
    { inputs: [[7]] },
    { inputs: [[3, 5]], attributes: { p: 1 } },
    { inputs: [[2, 3, 5]], attributes: { axis: 0 } },
    { inputs: [[2, 3, 5]], attributes: { axis: 1, p: 1 } },
  ],
  decompose: (build, [given], { axis, p }) => {
    const x = asFloat32(build, given!);
    const norm = build.apply(p === 1 ? reduceL1 : reduceL2, [x], { axes: [axis] });
    const isZero = build.apply(equal, [norm, build.constant(0)]);
    const y = build.apply(div, [x, build.apply(where, [isZero, build.constant(1), norm])]);
    return [asType(build, y, given!.dtype)];
  },
});

export type LRNAttributes = {
  readonly alpha: number;
  readonly beta: number;
  readonly bias: number;
  /** Channels whose squares are summed. */
  readonly size: number;
};

/**
 * LRN (ONNX), local response normalisation: X [N, C, d1, …] / (bias + alpha / size · Σx²)^beta, summed over the `size` channels
 * around each. A composition: the sum is an average pooling over channels.
 */
export const lrn = defineOperator<LRNAttributes>({
  name: "LRN",
  inputs: ["X"],
  outputs: ["Y"],
  attributes: { alpha: 1e-4, beta: 0.75, bias: 1, size: 1 },
  infer: (inputs, { size }) => {
    const x = floats("LRN", inputs, ["X"], 1);
    if (x.shape.length < 2 || !Number.isInteger(size) || size < 1)
      throw new ShapeError(`LRN: X [N, C, …] and a size of at least 1, got ${formatShape(x.shape)} and ${size}`);
    return [x];
  },
  reference: ([x], { attributes: { alpha, beta, bias, size } }) => {
    const [, C, ...inner] = x!.shape;
    const stride = sizeOf(inner);
    const values = Float64Array.from(x!.data, (value, i) => {
      const channel = Math.floor(i / stride) % C!;
      let sum = 0;
      for (let c = channel - ((size - 1) >> 1); c <= channel + (size >> 1); c++)
        if (c >= 0 && c < C!) sum += x!.data[i + (c - channel) * stride]! ** 2;
      return value / (bias + (alpha / size) * sum) ** beta;
    });
    return [{ values }];
  },
  errorBound: composedBound,
  flops: ({ inputs, attributes }) => (8 + attributes.size) * sizeOf(inputs[0]!.shape),
  cases: [
    { inputs: [[2, 5, 3, 4]], attributes: { size: 3, alpha: 0.5 } },
    { inputs: [[1, 5, 7]], attributes: { size: 4, alpha: 1, beta: 0.5, bias: 2 }, why: "an even size" },
    { inputs: [[2, 3]], attributes: { size: 5, alpha: 1 }, why: "more than there are channels" },
    { inputs: [[1, 2, 3]] },
  ],
  decompose: (build, [given], { alpha, beta, bias, size }) => {
    const [N, C, ...inner] = given!.shape;
    const x = reshapeTo(build, asFloat32(build, given!), [N!, 1, C!, sizeOf(inner)]);
    const mean = build.apply(averagePool, [build.apply(mul, [x, x])], {
      kernel_shape: [size, 1],
      pads: [(size - 1) >> 1, 0, size >> 1, 0],
      count_include_pad: 1,
    });
    const base = build.apply(add, [build.apply(mul, [mean, build.constant(alpha)]), build.constant(bias)]);
    const y = build.apply(div, [x, build.apply(pow, [base, build.constant(beta)])]);
    return [asType(build, reshapeTo(build, y, given!.shape), given!.dtype)];
  },
});
