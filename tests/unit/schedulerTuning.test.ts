// The table of measurements: which problems share an entry, and what measured ceilings make of the cost model.

import { describe, expect, it } from "vitest";
import { conv } from "../../src/ops/conv.ts";
import { matMul } from "../../src/ops/matmul.ts";
import type { Problem } from "../../src/ops/operator.ts";
import { HARDWARE_TRAITS, SOFTWARE_TRAITS } from "../../src/scheduler/choose.ts";
import { toolbox } from "../../src/scheduler/schedule.ts";
import { traitsOf, type Ceilings } from "../../src/scheduler/traits.ts";
import { problemKey, TuningTable } from "../../src/scheduler/tuning.ts";
import { loadStrategies } from "../../shaders/index.ts";
import { DEFAULT_LIMITS } from "../../shaders/strategy.ts";

const product = (M: number, K: number, N: number, attributes = matMul.attributes): Problem => ({
  inputs: [
    { dtype: "float32", shape: [M, K] },
    { dtype: "float32", shape: [K, N] },
  ],
  outputs: [{ dtype: "float32", shape: [M, N] }],
  attributes,
});
const keyOf = (problem: Problem, isConstant = [false, false]): string => problemKey(matMul, problem, isConstant);

describe("problems share an entry", () => {
  it("when their extents are near each other and vec4 loads fit both", () => {
    expect(keyOf(product(500, 512, 512))).toBe(keyOf(product(512, 480, 560)));
    expect(keyOf(product(512, 512, 512))).not.toBe(keyOf(product(511, 512, 512)));
    expect(keyOf(product(512, 512, 512))).not.toBe(keyOf(product(1024, 512, 512)));
    expect(keyOf(product(3, 512, 512))).not.toBe(keyOf(product(4, 512, 512)));
  });

  it("not when attributes, types or constants differ", () => {
    const key = keyOf(product(64, 64, 64));
    expect(keyOf(product(64, 64, 64, { transA: 1, transB: 0 }))).not.toBe(key);
    expect(keyOf(product(64, 64, 64), [false, true])).not.toBe(key);
    const half = product(64, 64, 64);
    expect(keyOf({ ...half, inputs: half.inputs.map((type) => ({ ...type!, dtype: "float16" })) })).not.toBe(key);
    const image = { dtype: "float32", shape: [64, 64] } as const;
    expect(problemKey(conv, { ...half, inputs: [image, undefined] }, [])).toContain(" - ");
  });
});

describe("a table", () => {
  it("survives JSON, keeps other adapters' entries, and lets bans leave something", async () => {
    const table = new TuningTable("here", DEFAULT_LIMITS, toolbox);
    const [kernel] = await loadStrategies("MatMul");
    const problem = product(512, 512, 512);
    const hash = table.kernelHash(matMul, kernel!, problem, {});
    table.record(matMul, [false, false], { problem, strategy: kernel!.name, params: {}, ms: 2, hash });
    const other = new TuningTable("elsewhere", DEFAULT_LIMITS, toolbox);
    other.add(JSON.stringify(table));
    expect(other.entry(matMul, problem, [false, false])).toBeUndefined();
    expect(other.toJSON().adapters["here"]).toEqual(table.toJSON().adapters["here"]);

    const strategies = await loadStrategies("MatMul");
    expect(table.kernels(matMul, problem, [false, false], strategies)).toHaveLength(1);
    table.ban({ operator: "MatMul", strategy: kernel!.name, reason: "a test" });
    table.ban({ operator: "MatMul", strategy: kernel!.name, reason: "again" });
    expect(table.bans).toHaveLength(1);
    expect(table.kernels(matMul, problem, [false, false], strategies)).toHaveLength(strategies.length - 1);
    expect(table.kernels(matMul, problem, [false, false], [kernel!])).toEqual([kernel]);
  });
});

describe("measured ceilings", () => {
  const usual: Ceilings = {
    gflops: 10_000,
    loadsPerNs: 1500,
    gigabytesPerSecond: 350,
    barrierNs: 0.002,
    invocationNs: 0.0001,
    dispatchNs: 3000,
    submitNs: 50_000,
  };

  it("scale the kind's traits", () => {
    expect(traitsOf(usual, HARDWARE_TRAITS, false)).toEqual(HARDWARE_TRAITS);
    const faster = traitsOf({ ...usual, gflops: 40_000, dispatchNs: 1500 }, HARDWARE_TRAITS, false);
    expect(faster.gflops).toBeCloseTo(4 * HARDWARE_TRAITS.gflops, 6);
    expect(faster.dispatchNs).toBeCloseTo(HARDWARE_TRAITS.dispatchNs / 2, 6);
    expect(faster.saturatingInvocations).toBe(HARDWARE_TRAITS.saturatingInvocations);
  });

  it("that could not be measured leave them as they are", () => {
    expect(traitsOf({ ...usual, dispatchNs: 0 }, SOFTWARE_TRAITS, true).dispatchNs).toBe(SOFTWARE_TRAITS.dispatchNs);
    expect(traitsOf({ ...usual, gflops: NaN }, SOFTWARE_TRAITS, true).gflops).toBe(SOFTWARE_TRAITS.gflops);
  });
});
