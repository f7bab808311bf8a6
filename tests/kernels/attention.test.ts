// Attention where a mean cannot be had: queries that see nothing, operands that are NaN or infinite, masks of -∞ and of the
// lowest number there is.

import { afterAll, expect, test } from "vitest";
import { filled, tensorData, type TensorData } from "../../src/core/tensorData.ts";
import { scaledDotProductAttention } from "../../src/ops/scaledDotProductAttention.ts";
import type { Attributes } from "../../src/ops/operator.ts";
import { loadStrategies } from "../../shaders/index.ts";
import { acceptedParameters, failuresOf, type Check } from "../harness/kernelChecks.ts";
import { acquireKernelGpu, releaseKernelGpus } from "../harness/kernelGpu.ts";
import { prepareProblem, randomTensor } from "../harness/operatorCases.ts";

const gpu = await acquireKernelGpu();
afterAll(() => {
  gpu.dispose();
  releaseKernelGpus();
});

const strategies = await loadStrategies(scaledDotProductAttention.name);
const LOWEST = -3.4028234663852886e38;
const [L, S, D] = [3, 37, 8];
const q = randomTensor([1, 2, L, D], 1);
const k = randomTensor([1, 2, S, D], 2);
const v = randomTensor([1, 2, S, D], 3);

/** Failures of every strategy; each must take the problem in some way. */
async function failures(inputs: readonly (TensorData | undefined)[], attributes: Attributes = {}): Promise<string[]> {
  const { label, problem, expected } = prepareProblem(scaledDotProductAttention, inputs, attributes);
  const checks = strategies.flatMap((strategy) => {
    const accepted = acceptedParameters(strategy, problem, gpu.limits);
    expect(accepted.length, strategy.name).toBeGreaterThan(0);
    const [params] = accepted;
    const task = { operator: scaledDotProductAttention, strategy, params: params!, problem, inputs };
    return [{ what: label, expected, task }] satisfies Check[];
  });
  return failuresOf(gpu, checks);
}

/** `tensor` with one element replaced. */
function withElement({ data, ...type }: TensorData, at: number, value: number): TensorData {
  const copy = Float32Array.from(data);
  copy[at] = value;
  return { ...type, data: copy };
}

test("a query that sees nothing gives 0, or NaN where that is asked for", async () => {
  // The mask lets the first query see nothing, the second one key, the third all.
  const seen = Uint32Array.from({ length: L * S }, (_, at) => (at >= 2 * S || at === S + 35 ? 1 : 0));
  const mask: TensorData = { dtype: "bool", shape: [L, S], data: seen };
  for (const unseen of ["zero", "nan"]) {
    expect(await failures([q, k, v, mask], { unseen })).toEqual([]);
    expect(await failures([q, k, v], { unseen, causal: "offset", offset: -2 })).toEqual([]);
  }
});

test("an added -∞ hides, the lowest number leaves a mean of all where there is nothing else", async () => {
  const row = (hidden: number): number[] => Array.from({ length: S }, (_, j) => (j % 2 === 0 ? hidden : 0));
  const all = (value: number): number[] => Array.from({ length: S }, () => value);
  for (const hidden of [-Infinity, LOWEST]) {
    const mask = tensorData([...row(hidden), ...all(hidden), ...row(-1)], [L, S]);
    expect(await failures([q, k, v, mask], { unseen: "zero" })).toEqual([]);
    expect(await failures([q, k, v, mask], { unseen: "nan" })).toEqual([]);
  }
  expect(await failures([q, k, v, filled(LOWEST, [1, 1, 1, S])])).toEqual([]);
});

test("NaN and infinities spoil their own query, and no other", async () => {
  for (const value of [NaN, Infinity]) expect(await failures([withElement(q, D, value), k, v])).toEqual([]);
  // A key with NaN is seen by all; behind causality, by the last query only.
  expect(await failures([q, withElement(k, (S - 1) * D, NaN), v])).toEqual([]);
  expect(await failures([q, withElement(k, (S - 1) * D, NaN), v], { causal: "end" })).toEqual([]);
});
