// Reductions of many elements to few results: cut into parts by a rewrite, which the cost model takes where it pays.

import { describe, expect, it } from "vitest";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import { Graph } from "../../src/graph/graph.ts";
import {
  reduceL1,
  reduceMax,
  reduceMean,
  reduceMin,
  reduceProd,
  reduceSum,
  reduceSumSquare,
} from "../../src/ops/index.ts";
import type { Operator } from "../../src/ops/operator.ts";
import { reduceDefaults, type ReduceAttributes } from "../../src/ops/reduction.ts";
import { HARDWARE_TRAITS, SOFTWARE_TRAITS } from "../../src/scheduler/choose.ts";
import { schedule } from "../../src/scheduler/schedule.ts";
import { loadRewrites, loadStrategies } from "../../shaders/index.ts";
import { DEFAULT_LIMITS } from "../../shaders/strategy.ts";
import { EagerBuilder, type EagerTensor } from "../harness/eager.ts";

const tensor = (shape: Shape, dtype: EagerTensor["dtype"] = "float32"): EagerTensor => ({
  dtype,
  shape,
  data: Float64Array.from({ length: sizeOf(shape) }, (_, i) => 1 + 1e-3 * Math.sin(0.37 * i)),
});

async function twoPassOf({ name }: Operator<ReduceAttributes>) {
  return (await loadRewrites(name)).find((rewrite) => rewrite.name === "twoPass")!;
}

const problemOf = (operator: Operator<ReduceAttributes>, data: EagerTensor, given: Partial<ReduceAttributes>) => {
  const attributes = { ...reduceDefaults, ...given };
  return { inputs: [data], outputs: operator.infer([data], attributes), attributes };
};

const large: readonly (readonly [shape: Shape, axes: readonly number[], keepdims: number])[] = [
  [[65_536], [], 0],
  [[2, 256, 300], [1, 2], 1],
  [[300, 3, 128], [0, -1], 0],
  [[33_000, 2], [0], 0],
];

describe("twoPass", () => {
  it.each([reduceSum, reduceMean, reduceL1, reduceSumSquare, reduceMax, reduceMin, reduceProd])(
    "$name in two steps is the whole",
    async (operator) => {
      const rewrite = await twoPassOf(operator);
      for (const [shape, axes, keepdims] of large) {
        const data = tensor(shape);
        const problem = problemOf(operator, data, { axes, keepdims });
        expect(rewrite.supports(problem, DEFAULT_LIMITS, { parts: 64 })).toBe(true);
        const build = new EagerBuilder();
        const [result] = rewrite.rewrite(build, [data], problem, { parts: 64 });
        const whole = new EagerBuilder().apply<ReduceAttributes>(operator, [data], { axes, keepdims });
        expect(build.tape.filter((entry) => entry.operator.name.startsWith("Reduce"))).toHaveLength(2);
        expect(result!.shape).toEqual(whole.shape);
        (result as EagerTensor).data.forEach((value, i) => {
          expect(Math.abs(value / whole.data[i]! - 1)).toBeLessThan(1e-9);
        });
      }
    },
  );

  it("refuses, with the reason, what does not divide or would round between the steps", async () => {
    const reason = async (operator: Operator<ReduceAttributes>, data: EagerTensor): Promise<true | string> =>
      (await twoPassOf(operator)).supports(problemOf(operator, data, {}), DEFAULT_LIMITS, { parts: 64 });
    expect(await reason(reduceSum, tensor([65_537]))).toMatch(/no reduced axis/);
    expect(await reason(reduceSum, tensor([65_536], "float16"))).toMatch(/half/);
    expect(await reason(reduceMean, tensor([65_536], "int32"))).toMatch(/truncated/);
  });

  it.each([
    ["software", SOFTWARE_TRAITS],
    ["hardware", HARDWARE_TRAITS],
  ] as const)("is chosen for one long row on %s, and for many short ones not", async (_, traits) => {
    const stepsOf = async (shape: Shape): Promise<number> => {
      const graph = new Graph();
      const x = graph.input("x", { dtype: "float32", shape });
      graph.output("y", graph.apply(reduceSum, [x], { axes: [-1] }));
      const { plan } = await schedule(graph, { limits: DEFAULT_LIMITS, traits, loadStrategies, loadRewrites });
      return plan.steps.length;
    };
    expect(await stepsOf([2 ** 21])).toBe(2);
    expect(await stepsOf([2 ** 12, 512])).toBe(1);
  });
});
