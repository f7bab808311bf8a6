// Reversing the beginning of every sequence of a padded batch.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sizeOf, stridesOf, type Shape } from "../core/shape.ts";
import { formatInputs, requireDType, requireInputs } from "./check.ts";
import { defineOperator, type Operator } from "./operator.ts";

export type ReverseSequenceAttributes = {
  /** 0 or 1, and the other one of the two. */
  readonly batch_axis: number;
  readonly time_axis: number;
};

const NAMES = ["input", "sequence_lens"];

/** How far apart neighbours in time and in the batch are, and how many there are. */
export function sequenceStrides(
  shape: Shape,
  { batch_axis, time_axis }: ReverseSequenceAttributes,
): { times: number; timeStride: number; batch: number; batchStride: number } {
  if (shape.length < 2 || Math.min(batch_axis, time_axis) !== 0 || Math.max(batch_axis, time_axis) !== 1)
    throw new ShapeError(
      `ReverseSequence: batch_axis and time_axis must be 0 and 1 of at least two axes, got ${batch_axis} and ${time_axis} of ${formatShape(shape)}`,
    );
  const strides = stridesOf(shape);
  return {
    times: shape[time_axis]!,
    timeStride: strides[time_axis]!,
    batch: shape[batch_axis]!,
    batchStride: strides[batch_axis]!,
  };
}

/**
 * ReverseSequence (ONNX): input [T, B, ..] (or [B, T, ..]) and sequence_lens [B] of integers: the first sequence_lens[b]
 * steps of sequence b in reverse order, the others where they are. Any element type; exact.
 */
export const reverseSequence: Operator<ReverseSequenceAttributes> = defineOperator<ReverseSequenceAttributes>({
  name: "ReverseSequence",
  inputs: NAMES,
  outputs: ["Y"],
  attributes: { batch_axis: 1, time_axis: 0 },
  infer: (inputs, attributes) => {
    const [input, lengths] = requireInputs("ReverseSequence", NAMES, inputs);
    requireDType("ReverseSequence", "sequence_lens", lengths!, ["int64", "int32"]);
    const { batch } = sequenceStrides(input!.shape, attributes);
    if (lengths!.shape.length !== 1 || lengths!.shape[0] !== batch)
      throw new ShapeError(`ReverseSequence: expected a length for each sequence, got ${formatInputs(inputs)}`);
    return [input!];
  },
  reference: ([input, lengths], { attributes }) => {
    const { times, timeStride, batch, batchStride } = sequenceStrides(input!.shape, attributes);
    const values = new Float64Array(sizeOf(input!.shape));
    for (let index = 0; index < values.length; index++) {
      const time = Math.floor(index / timeStride) % times;
      const length = Math.min(lengths!.data[Math.floor(index / batchStride) % batch]!, times);
      const from = time < length ? length - 1 - time : time;
      values[index] = input!.data[index + (from - time) * timeStride]!;
    }
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  gradient: ({ build, attributes, inputs: [, lengths], outputGradients: [gradient] }) => [
    build.apply(reverseSequence, [gradient, lengths], attributes),
    undefined,
  ],
  flops: () => 0,
  cases: [
    { inputs: [[4, 3], { shape: [3], dtype: "int64", low: 1, high: 5 }] },
    { inputs: [[3, 5], { shape: [3], dtype: "int64", low: 0, high: 6 }], attributes: { batch_axis: 0, time_axis: 1 } },
    { inputs: [[7, 2, 3, 5], { shape: [2], dtype: "int64", low: 1, high: 8 }] },
    {
      inputs: [
        { shape: [2, 65], dtype: "int32" },
        { shape: [2], dtype: "int64", low: 60, high: 70 },
      ],
      attributes: { batch_axis: 0, time_axis: 1 },
      why: "lengths beyond the end are cut",
    },
    { inputs: [[1, 1], { shape: [1], dtype: "int64", low: 1, high: 2 }] },
    { inputs: [[0, 2], { shape: [2], dtype: "int64", low: 0, high: 1 }] },
  ],
});
