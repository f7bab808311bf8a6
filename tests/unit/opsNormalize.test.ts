// Reductions and normalisations where their operators' cases, small and generated, do not reach: reductions in two steps,
// sets of elements large enough to be standardized by reductions, worked examples of the ONNX operator texts.

import { describe, expect, it, test } from "vitest";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import {
  batchNormalization,
  lpNormalization,
  negativeLogLikelihoodLoss,
  reduceL1,
  reduceLogSumExp,
  reduceMax,
  reduceMean,
  reduceMin,
  reduceProd,
  reduceSumSquare,
  standardization,
} from "../../src/ops/index.ts";
import type { Attributes, Operator } from "../../src/ops/operator.ts";
import { standardize } from "../../src/ops/standardization.ts";
import { EagerBuilder, type EagerTensor } from "../harness/eager.ts";

const value = (shape: Shape, data: ArrayLike<number>, dtype: EagerTensor["dtype"] = "float32"): EagerTensor => ({
  dtype,
  shape,
  data: Float64Array.from(data),
});

/** Numbers in [-2, 2] that repeat nowhere. */
const waves = (shape: Shape, dtype: EagerTensor["dtype"] = "float32"): EagerTensor =>
  value(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => (dtype === "int32" ? i % 7 : 2 * Math.sin(0.37 * i + 1e-5 * i))),
    dtype,
  );

const run = <A extends Attributes>(
  operator: Operator<A>,
  inputs: readonly (EagerTensor | undefined)[],
  attributes: Partial<A> = {},
): readonly EagerTensor[] => new EagerBuilder().applyAll(operator, inputs, attributes);

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-10): void {
  expect(actual.length).toBe(expected.length);
  let worst = 0;
  for (let i = 0; i < expected.length; i++)
    worst = Math.max(worst, Math.abs(actual[i]! - expected[i]!) / (1 + Math.abs(expected[i]!)));
  expect(worst).toBeLessThanOrEqual(tolerance);
}

describe("huge sets are standardized by reductions", () => {
  it.each([0, 1])("centered %i", (centered) => {
    const x = waves([2, 256, 256]);
    const attributes = { axes: [1, 2], epsilon: 1e-3, centered };
    const build = new EagerBuilder();
    const result = standardize(build, x, attributes) as EagerTensor;
    expect(build.tape.map(({ operator }) => operator.name)).not.toContain("Standardization");
    expectClose(result.data, run(standardization, [x], attributes)[0]!.data, 1e-8);
  });
});

describe("reductions of little", () => {
  test("integers: means truncate, products wrap, bytes have their own extremes", () => {
    const ints = value([2, 2], [-3, -8, 5, -7], "int32");
    expect([...run(reduceMean, [ints], { axes: [1] })[0]!.data]).toEqual([-5, -1]);
    const factors = value([2], [65_536, 65_537], "int32");
    expect([...run(reduceProd, [factors])[0]!.data]).toEqual([65_536]);
    expect([...run(reduceMax, [value([0, 1], [], "int8")], { axes: [0] })[0]!.data]).toEqual([-128]);
    expect([...run(reduceMin, [value([0, 1], [], "bool")], { axes: [0] })[0]!.data]).toEqual([1]);
  });

  test("floats of nothing", () => {
    const nothing = value([2, 0], []);
    expect([...run(reduceMax, [nothing], { axes: [1] })[0]!.data]).toEqual([-Infinity, -Infinity]);
    expect([...run(reduceMin, [nothing], { axes: [1] })[0]!.data]).toEqual([Infinity, Infinity]);
    expect([...run(reduceLogSumExp, [nothing], { axes: [1] })[0]!.data]).toEqual([-Infinity, -Infinity]);
    expect([...run(reduceMean, [nothing], { axes: [1] })[0]!.data]).toEqual([NaN, NaN]);
  });

  test("an operator over no axes still does its elementwise part", () => {
    const x = value([3], [-1, 2, -3]);
    expect([...run(reduceSumSquare, [x], { noop_with_empty_axes: 1 })[0]!.data]).toEqual([1, 4, 9]);
    expect([...run(reduceL1, [x], { noop_with_empty_axes: 1 })[0]!.data]).toEqual([1, 2, 3]);
  });

  test("ReduceLogSumExp of infinities", () => {
    const x = value([3, 2], [-Infinity, -Infinity, Infinity, 1, -Infinity, 2]);
    expect([...run(reduceLogSumExp, [x], { axes: [1] })[0]!.data]).toEqual([-Infinity, Infinity, 2]);
  });
});

describe("worked examples", () => {
  test("BatchNormalization, ONNX's example", () => {
    const x = value([1, 2, 1, 3], [-1, 0, 1, 2, 3, 4]);
    const [scale, shift, mean, variance] = [[1, 1.5], [0, 1], [0, 3], [1, 1.5]].map((data) => value([2], data)); // prettier-ignore
    const [y] = run(batchNormalization, [x, scale, shift, mean, variance], { epsilon: 0 });
    const slope = 1.5 / Math.sqrt(1.5);
    expectClose(y!.data, [-1, 0, 1, 1 - slope, 1, 1 + slope]);
  });

  test("LpNormalization of zeros is zero", () => {
    const x = value([2, 2], [0, 0, 3, 4]);
    expectClose(run(lpNormalization, [x])[0]!.data, [0, 0, 0.6, 0.8]);
  });

  test("NegativeLogLikelihoodLoss, the mean weighted by classes without the ignored one", () => {
    const input = value([1, 3, 2], [1, 2, 2, 2, 3, 2]);
    const target = value([1, 2], [0, 2], "int64");
    const weight = value([3], [0.2, 0.3, 0.1]);
    const mean = -(0.2 * 1 + 0.1 * 2) / 0.3;
    expectClose(run(negativeLogLikelihoodLoss, [input, target, weight])[0]!.data, [mean]);
    expectClose(run(negativeLogLikelihoodLoss, [input, target, weight], { ignore_index: 2 })[0]!.data, [-1]);
  });
});
