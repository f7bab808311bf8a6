// The cost model reads sizes off kernels' texts: it must understand every kernel there is, on every kind of adapter.

import { expect, test } from "vitest";
import * as ops from "../../src/ops/index.ts";
import type { Operator, Problem } from "../../src/ops/operator.ts";
import { chooseStrategy, HARDWARE_TRAITS, SOFTWARE_TRAITS } from "../../src/scheduler/choose.ts";
import { loadStrategies, operatorsWithKernels } from "../../shaders/index.ts";
import { DEFAULT_LIMITS, parameterSets } from "../../shaders/strategy.ts";

const limits = { ...DEFAULT_LIMITS, features: new Set(["subgroups"]), subgroupMinSize: 4, subgroupMaxSize: 32 };
/** As in a page: workgroup memory costs compiling there. */
const pageTraits = { ...SOFTWARE_TRAITS, compileNsPerWorkgroupWord: 400_000 };

function firstProblems(operator: Operator, count: number): Problem[] {
  return operator.cases.slice(0, count).map(({ inputs: given, attributes: set = {} }) => {
    const attributes = { ...operator.attributes, ...set };
    const inputs = given.map((input) => {
      if (!input) return undefined;
      if ("dtype" in input || "shape" in input) return { dtype: input.dtype ?? "float32", shape: input.shape } as const;
      return { dtype: "float32", shape: input } as const;
    });
    return { inputs, outputs: operator.infer(inputs, attributes), attributes };
  });
}

const operators = Object.values(ops) as unknown as readonly Operator[];
const names = (await operatorsWithKernels()).filter((name) => name !== "Pointwise");

test.each(names)("%s: every strategy has a finite estimate", async (name) => {
  const operator = operators.find((one) => one.name === name)!;
  let estimated = 0;
  for (const problem of firstProblems(operator, 4))
    for (const strategy of await loadStrategies(name, [problem]))
      for (const traits of [pageTraits, HARDWARE_TRAITS]) {
        if (!parameterSets(strategy).some((params) => strategy.supports(problem, limits, params) === true)) continue;
        const choice = { limits, traits, forced: undefined, isKnown: () => false };
        expect(chooseStrategy(operator, problem, [strategy], choice).estimatedMs, strategy.name).toBeLessThan(Infinity);
        estimated++;
      }
  expect(estimated).toBeGreaterThan(0);
});

test("words of workgroup memory cost compiling in a page", async () => {
  const operator = operators.find(({ name }) => name === "MatMul")!;
  const type = { dtype: "float32", shape: [64, 64] } as const;
  const problem = { inputs: [type, type], outputs: [type], attributes: operator.attributes };
  const tiled = (await loadStrategies("MatMul")).find(({ name }) => name === "tiled")!;
  const settled = { ...tiled, params: { tile: [16] } };
  const [node, page] = [0, 400_000].map((compileNsPerWorkgroupWord) => {
    const traits = { ...SOFTWARE_TRAITS, expectedRuns: 1, compileNsPerWorkgroupWord };
    return chooseStrategy(operator, problem, [settled], { limits, traits, forced: undefined, isKnown: () => false });
  });
  // Two tiles of 16 × 16, the rows of one perhaps a word longer.
  const words = Math.round((page!.estimatedMs - node!.estimatedMs) / 0.4);
  expect(words).toBeGreaterThanOrEqual(2 * 16 * 16);
  expect(words).toBeLessThanOrEqual(2 * 16 * 17);
});
