// Kernels that read or write at places that are data, with indices that are out of range; and those that order numbers, with
// NaNs, infinities and signed zeros among them.

import { afterAll, expect, test } from "vitest";
import { tensorData, type TensorData } from "../../src/core/tensorData.ts";
import {
  argMax,
  argMin,
  gather,
  gatherElements,
  gatherND,
  scatterElements,
  scatterND,
  topK,
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

/** Failures of every strategy on `given`, whose results are those of `inputs`. */
async function failures<A extends Attributes>(
  operator: Operator<A>,
  inputs: readonly TensorData[],
  attributes: Partial<A>,
  given = inputs,
): Promise<string[]> {
  const { label, problem, expected } = prepareProblem(operator, inputs, attributes);
  const checks = (await loadStrategies(operator.name)).flatMap((strategy) =>
    acceptedParameters(strategy, problem, gpu.limits).map((params): Check => {
      const task = { operator: operator as unknown as Operator, strategy, params, problem, inputs: given };
      return { what: label, expected, task };
    }),
  );
  expect(checks.length).toBeGreaterThan(0);
  return failuresOf(gpu, checks);
}

test("indices out of range are clamped, and nothing outside is written", async () => {
  const int64 = (values: readonly number[], shape: readonly number[]): TensorData => tensorData(values, shape, "int64");
  const wild = [7, -1, -8, 2 ** 31 - 1, -(2 ** 31), 0];
  const tame = [4, -1, 0, 4, 0, 0];
  const data = randomTensor([5, 3], 1);
  const rows = [int64(tame, [6]), int64(wild, [6])] as const;
  expect(await failures(gather, [data, rows[0]], {}, [data, rows[1]])).toEqual([]);

  const column = [int64(tame, [6, 1]), int64(wild, [6, 1])] as const;
  expect(await failures(gatherElements, [data, column[0]], {}, [data, column[1]])).toEqual([]);
  expect(await failures(gatherND, [data, column[0]], {}, [data, column[1]])).toEqual([]);
  for (const reduction of ["none", "add"]) {
    const [element, slice] = [randomTensor([6, 1], 2), randomTensor([6, 3], 3)];
    const elements = [data, column[0], element];
    expect(await failures(scatterElements, elements, { reduction }, elements.with(1, column[1]))).toEqual([]);
    const slices = [data, column[0], slice];
    expect(await failures(scatterND, slices, { reduction }, slices.with(1, column[1]))).toEqual([]);
  }
});

const odd = [
  [NaN, 1, Infinity, -Infinity, NaN, 0, -0, 3],
  [-0, 0, -0, 0, -1, -1, -2, -2],
  [-Infinity, -Infinity, NaN, -3e38, 3e38, 1e-40, -1e-40, 0],
];

test.each([0, 1])("TopK orders odd numbers, largest: %i", async (largest) => {
  const x = tensorData(odd.flat(), [3, 8]);
  expect(await failures(topK, [x], { k: 8, largest })).toEqual([]);
  expect(await failures(topK, [x], { k: 2, axis: 0, largest })).toEqual([]);
});

test.each([argMax, argMin])("$name finds odd numbers", async (operator) => {
  const x = tensorData(odd.flat(), [3, 8]);
  for (const select_last_index of [0, 1]) {
    expect(await failures(operator, [x], { axis: 1, select_last_index })).toEqual([]);
    expect(await failures(operator, [x], { axis: 0, select_last_index })).toEqual([]);
  }
});

test.each(["max", "min"])("%s of updates keeps NaN", async (reduction) => {
  const x = tensorData([1, NaN, 3, -Infinity], [4]);
  const places = tensorData([0, 1, 2, 2, 3], [5], "int64");
  const updates = tensorData([NaN, 5, 4, Infinity, 0], [5]);
  expect(await failures(scatterElements, [x, places, updates], { reduction })).toEqual([]);
});
