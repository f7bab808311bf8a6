// Values and lengths that operators' cases, random numbers in a range, do not bring: infinities, NaN, signed zeros, rows of
// whole vectors, rows long enough for rounding errors to pile up.

import { afterAll, expect, test } from "vitest";
import { tensorData, type TensorData } from "../../src/core/tensorData.ts";
import {
  logSoftmax,
  reduceL1,
  reduceMax,
  reduceMean,
  reduceMin,
  reduceProd,
  reduceSum,
  reduceSumSquare,
  softmax,
} from "../../src/ops/index.ts";
import type { Attributes, Operator } from "../../src/ops/operator.ts";
import { loadStrategies } from "../../shaders/index.ts";
import { acceptedParameters, failuresOf, type Check } from "../harness/kernelChecks.ts";
import { acquireKernelGpu, releaseKernelGpus } from "../harness/kernelGpu.ts";
import { prepareProblem, randomTensor } from "../harness/operatorCases.ts";

const gpu = await acquireKernelGpu();
afterAll(() => {
  gpu.dispose();
  releaseKernelGpus();
});

/** Failures of all strategies that take the problem; `used` collects their names. */
async function failures(
  operator: Operator,
  input: TensorData,
  attributes: Attributes,
  used: Set<string> = new Set(),
): Promise<string[]> {
  const { label, problem, inputs, expected } = prepareProblem(operator, [input], attributes);
  const checks = (await loadStrategies(operator.name)).flatMap((strategy) =>
    acceptedParameters(strategy, problem, gpu.kernelLimits).map((params): Check => {
      used.add(strategy.name);
      return { what: label, expected, task: { operator, strategy, params, problem, inputs } };
    }),
  );
  expect(checks.length).toBeGreaterThan(0);
  return failuresOf(gpu, checks);
}

const reductions = [reduceSum, reduceMean, reduceL1, reduceSumSquare, reduceMax, reduceMin] as const;

test.each(reductions)("$name takes rows of whole vectors by every strategy", async (operator) => {
  const used = new Set<string>();
  for (const [shape, axes] of [
    [[4], [0]],
    [[5, 8], [1]],
    [[3, 1028], [-1]],
    [
      [2, 3, 4, 4],
      [2, 3],
    ],
    [
      [70, 2, 2],
      [1, 2],
    ],
    [[5, 8], [0]],
    [[257, 12], [0]],
  ] as const)
    expect(await failures(operator, randomTensor(shape, 3), { axes }, used)).toEqual([]);
  for (const { name } of await loadStrategies(operator.name)) expect(used).toContain(name);
});

test.each(reductions)("$name of a million equal values stays within its bound", async (operator) => {
  const count = 2 ** 20;
  const row = tensorData(new Float32Array(count).fill(0.1), [1, count]);
  expect(await failures(operator, row, { axes: [1] })).toEqual([]);
});

test.each([
  ["only very negative values", [-3e38, -2e38, -3.4e38, -1e38]],
  ["minus infinity everywhere", [-Infinity, -Infinity, -Infinity, -Infinity]],
  ["minus infinity first", [-Infinity, -5, -Infinity, -7]],
  ["infinity", [1, Infinity, -Infinity, 2]],
  ["NaN first", [NaN, 1, 2, 3]],
  ["NaN last", [1, 2, 3, NaN]],
  ["NaN beside infinity", [Infinity, NaN, 1, -Infinity]],
  ["zeros of both signs", [-0, 0, -0, -0]],
])("ReduceMax of %s", async (_, values) => {
  const row = tensorData([...values, ...values, ...values.slice(0, 4)], [3, 4]);
  expect(await failures(reduceMax, row, { axes: [1] })).toEqual([]);
  expect(await failures(reduceMax, row, { axes: [0] })).toEqual([]);
  expect(await failures(reduceMax, row, {})).toEqual([]);
  expect(await failures(reduceMin, row, { axes: [1] })).toEqual([]);
});

test.each([reduceSum, reduceProd, reduceMax, reduceMin, reduceL1, reduceSumSquare])(
  "$name of nothing is its neutral element",
  async (operator) => {
    for (const [shape, axes] of [
      [[3, 0], [1]],
      [[0], []],
      [
        [0, 2, 0],
        [0, 2],
      ],
    ] as const)
      expect(await failures(operator, tensorData([], shape), { axes })).toEqual([]);
  },
);

test("ReduceMean of nothing is NaN", async () => {
  expect(await failures(reduceMean, tensorData([], [2, 0]), { axes: [1] })).toEqual([]);
});

test.each([softmax, logSoftmax])("$name of long, masked and far-apart rows", async (operator) => {
  expect(await failures(operator, randomTensor({ shape: [1, 50021], low: -8, high: 8 }, 9), {})).toEqual([]);
  const far = tensorData([-1e4, 0, 1e4, 3, 3, 3, -3e38, -3e38, -3e38], [3, 3]);
  expect(await failures(operator, far, { axis: 0 })).toEqual([]);
  expect(await failures(operator, far, { axis: 1 })).toEqual([]);
});

test.each([softmax, logSoftmax])("$name of elements masked by minus infinity", async (operator) => {
  const scores = [-Infinity, 1, 2, -Infinity, 0, -Infinity, -Infinity, -Infinity];
  // Error bounds need finite scores; e^-1e30 is 0 as well.
  const finite = tensorData(
    scores.map((score) => (score === -Infinity ? -1e30 : score)),
    [2, 4],
  );
  const { problem, expected } = prepareProblem(operator, [finite], {});
  const { values, errors } = expected[0]!;
  const masked = {
    values: values.map((value, i) => (scores[i] === -Infinity && operator === logSoftmax ? -Infinity : value)),
    errors,
  };
  const inputs = [tensorData(scores, [2, 4])];
  const checks = (await loadStrategies(operator.name)).flatMap((strategy) =>
    acceptedParameters(strategy, problem, gpu.kernelLimits).map((params): Check => {
      return { what: "masked scores", expected: [masked], task: { operator, strategy, params, problem, inputs } };
    }),
  );
  expect(await failuresOf(gpu, checks)).toEqual([]);
});

test.each([softmax, logSoftmax])(
  "$name of a row with NaN, with infinity or of nothing but minus infinity",
  async (operator) => {
    const rows = tensorData(
      [1, NaN, 2, -1, Infinity, 3, -Infinity, -Infinity, -Infinity, NaN, -Infinity, Infinity, 1, 2, 3],
      [5, 3],
    );
    const { problem, inputs, expected } = prepareProblem(operator, [rows], {});
    const { values } = expected[0]!;
    expect(values.every((value, i) => Number.isNaN(value) === i < 12)).toBe(true);
    const bounded = { values, errors: new Float64Array(values.length).fill(1e-5) };
    const checks = (await loadStrategies(operator.name)).flatMap((strategy) =>
      acceptedParameters(strategy, problem, gpu.kernelLimits).map((params): Check => {
        return { what: "odd rows", expected: [bounded], task: { operator, strategy, params, problem, inputs } };
      }),
    );
    expect(await failuresOf(gpu, checks)).toEqual([]);
  },
);
