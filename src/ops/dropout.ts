// Dropout, and the uniform noise it draws. Noise is a pure function of (seed, step, stream, element), so the CPU, every GPU
// thread and a repeated run draw the same numbers, and a training step stays one plan: only its key changes.

import { checkShape, sizeOf, type TensorType } from "../core/shape.ts";
import { ShapeError, UsageError } from "../core/errors.ts";
import { philox, wordToUniform } from "../core/random.ts";
import { less, mul } from "./binary.ts";
import { formatInputs, requireDType, requireInputs } from "./check.ts";
import { defineOperator, type ReferenceInput } from "./operator.ts";
import { where } from "./where.ts";

export type PhiloxUniformAttributes = {
  readonly shape: readonly number[];
  /** Differs between call sites, so that they draw independent numbers; a word. */
  readonly stream: number;
};

export function requireKey(who: string, key: TensorType): void {
  requireDType(who, "key", key, ["uint32"]);
  if (key.shape.length !== 1 || key.shape[0] !== 2)
    throw new ShapeError(`${who}: key must be uint32 [2] (seed, step), got ${formatInputs([key])}`);
}

/** `count` uniform numbers in [0, 1) of a stream: element i is word i mod 4 of block i div 4. */
export function drawUniform(count: number, key: ReferenceInput, stream: number): Float64Array {
  const [seed, step] = [key.data[0]!, key.data[1]!];
  const values = new Float64Array(count);
  for (let i = 0; i < count; i += 4) {
    const words = philox([i / 4, step, stream >>> 0, 0], [seed, 0]);
    for (let word = 0; word < Math.min(4, count - i); word++) values[i + word] = wordToUniform(words[word]!);
  }
  return values;
}

/** Seed and step for cases: the values of a key. */
export const KEY = { shape: [2], dtype: "uint32", low: 0, high: 2 ** 31 } as const;

/**
 * PhiloxUniform: key (seed, step) uint32 [2] → float32 `shape`, uniform in [0, 1) with 24 bits; exact. Element i is word
 * i mod 4 of Philox 4x32-10 (Salmon et al., SC 2011) of counter (i div 4, step, stream, 0) under key (seed, 0).
 */
export const philoxUniform = defineOperator<PhiloxUniformAttributes>({
  name: "PhiloxUniform",
  inputs: ["key"],
  outputs: ["output"],
  attributes: { shape: [], stream: 0 },
  infer: (inputs, { shape }) => {
    const [key] = requireInputs("PhiloxUniform", ["key"], inputs);
    requireKey("PhiloxUniform", key!);
    checkShape(shape, "PhiloxUniform");
    return [{ dtype: "float32", shape }];
  },
  reference: ([key], { attributes: { shape, stream } }) => {
    const values = drawUniform(sizeOf(shape), key!, stream);
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  flops: () => 0,
  cases: [
    { inputs: [KEY], attributes: { shape: [] } },
    { inputs: [KEY], attributes: { shape: [7], stream: 1 } },
    { inputs: [KEY], attributes: { shape: [65], stream: 2 } },
    { inputs: [KEY], attributes: { shape: [1031], stream: 3 } },
    { inputs: [KEY], attributes: { shape: [3, 5, 7], stream: 4 } },
    { inputs: [{ ...KEY, low: 0, high: 1 }], attributes: { shape: [8] }, why: "seed 0, step 0" },
    { inputs: [KEY], attributes: { shape: [0] } },
  ],
});

export type DropoutAttributes = {
  /** Probability with which an element becomes 0, in [0, 1). */
  readonly ratio: number;
  /** Differs between call sites, so that their masks are independent. */
  readonly stream: number;
  /** 0: the identity. */
  readonly training_mode: number;
};

/**
 * Dropout (ONNX, with ratio and mode as attributes and the randomness as an input): data [..], key (seed, step) uint32 [2].
 * Where PhiloxUniform draws u ≥ ratio the element is divided by 1 - ratio, elsewhere it is 0. A composition: its gradient
 * comes through its parts and uses the same mask. Throws UsageError unless 0 ≤ ratio < 1.
 */
export const dropout = defineOperator<DropoutAttributes>({
  name: "Dropout",
  inputs: ["data", "key"],
  outputs: ["output"],
  attributes: { ratio: 0.5, stream: 0, training_mode: 0 },
  infer: (inputs, { ratio }) => {
    const [data, key] = requireInputs("Dropout", ["data", "key"], inputs);
    requireDType("Dropout", "data", data!, ["float32"]);
    requireKey("Dropout", key!);
    if (!(ratio >= 0 && ratio < 1)) throw new UsageError(`Dropout: ratio must be in [0, 1), got ${ratio}`);
    return [data!];
  },
  reference: ([data, key], { attributes: { ratio, stream, training_mode } }) => {
    if (training_mode === 0)
      return [{ values: Float64Array.from(data!.data), terms: new Float64Array(data!.data.length) }];
    const noise = drawUniform(data!.data.length, key!, stream);
    return [{ values: noise.map((u, i) => (u >= Math.fround(ratio) ? data!.data[i]! / (1 - ratio) : 0)) }];
  },
  errorBound: () => 2,
  flops: ({ outputs }) => 2 * sizeOf(outputs[0]!.shape),
  cases: [
    { inputs: [[], KEY], attributes: { training_mode: 1 } },
    { inputs: [[3, 65], KEY], attributes: { training_mode: 1, stream: 5 } },
    { inputs: [[257], KEY], attributes: { training_mode: 1, ratio: 0.1 } },
    { inputs: [[7], KEY], attributes: { training_mode: 1, ratio: 0 } },
    { inputs: [[7], KEY] },
    { inputs: [[0], KEY], attributes: { training_mode: 1 } },
  ],
  decompose: (build, [data, key], { ratio, stream, training_mode }) => {
    if (training_mode === 0 || ratio === 0) return [data!];
    const noise = build.apply(philoxUniform, [key], { shape: data!.shape, stream });
    const dropped = build.apply(less, [noise, build.constant(ratio)]);
    const scaled = build.apply(mul, [data, build.constant(1 / (1 - ratio))]);
    return [build.apply(where, [dropped, build.constant(0), scaled])];
  },
});
