// Every operator's gradient rule against central differences of its own reference, both in float64, for all of its cases.
// Compositions are differentiated through their parts. An operator or case added to src/ops is covered at once.

import { describe, expect, test } from "vitest";
import { isFloat } from "../../src/core/dtype.ts";
import { Random } from "../../src/core/random.ts";
import * as operators from "../../src/ops/index.ts";
import { evaluateReference } from "../../src/ops/evaluate.ts";
import type { Operator, Problem } from "../../src/ops/operator.ts";
import { EagerBuilder, eagerTensor, sweep, type EagerTensor } from "../harness/eager.ts";
import { caseData, caseProblem, caseSeed } from "../harness/values.ts";

/** A reference evaluation of more flops than this is left to the kernel tests: differences take hundreds of them. */
const MAX_FLOPS = 2e7;

/** Elements of one input that are moved one by one; in larger inputs, that many are drawn. */
const MAX_ELEMENTS = 24;

/** Cases above MAX_FLOPS, by name: the count is asserted, so that none is skipped unseen. */
const SKIPPED: Readonly<Record<string, number>> = {};

/**
 * Operators that pass nothing back by design: boolean results, noise, the gradient of a piecewise linear operator,
 * and what only a schedule (Im2Col, Winograd) or a file's packed weights bring.
 */
const WITHOUT_GRADIENT = [
  "And",
  "ArgMax",
  "ArgMin",
  "BitShift",
  "BitwiseAnd",
  "BitwiseNot",
  "BitwiseOr",
  "BitwiseXor",
  "DeformConv",
  "Equal",
  "Greater",
  "GreaterOrEqual",
  "Im2Col",
  "IsInf",
  "IsNaN",
  "Less",
  "LessOrEqual",
  "LinearAttention",
  "MatMulNBits",
  "MaxPoolGradient",
  "MaxPoolIndices",
  "Mod",
  "Not",
  "Or",
  "PhiloxUniform",
  "Pointwise",
  "RecurrentSequence",
  "RecurrentStep",
  "RoiAlign",
  "WinogradInput",
  "WinogradOutput",
  "WinogradWeights",
  "Xor",
];

/** Compositions of operators that pass nothing back yet. */
const PENDING = ["GRU", "LSTM", "RNN"];

const all: readonly Operator[] = Object.values(operators).map((operator) => operator as unknown as Operator);
const differentiable = all.filter(
  (operator) =>
    (operator.gradient !== undefined || operator.decompose !== undefined) && !PENDING.includes(operator.name),
);

test("the operators without a gradient are the expected ones", () => {
  const without = all.filter((operator) => !differentiable.includes(operator)).map(({ name }) => name);
  expect(without.sort()).toEqual([...WITHOUT_GRADIENT, ...PENDING].sort());
});

test("operators have distinct names and cases", () => {
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  for (const { name, cases } of all) if (name !== "Pointwise") expect(cases.length, name).toBeGreaterThan(0);
});

for (const operator of differentiable) {
  const tooLarge = (index: number): boolean =>
    operator.flops(caseProblem(operator, operator.cases[index]!)) > MAX_FLOPS;
  const indices = operator.cases.map((_, index) => index);

  describe(operator.name, () => {
    test("skips as many cases as expected", () => {
      expect(indices.filter(tooLarge).length).toBe(SKIPPED[operator.name] ?? 0);
    });
    for (const index of indices.filter((i) => !tooLarge(i))) {
      const { title } = caseData(operator, index);
      test(title, () => checkCase(operator, index));
    }
  });
}

function checkCase(operator: Operator, index: number): void {
  const { inputs, problem } = caseData(operator, index, { distinct: true });
  const tensors = inputs.map((input) => input && eagerTensor(input));
  const random = new Random(caseSeed(operator.name, index), 1000);
  const floatOutputs = problem.outputs.flatMap(({ dtype }, i) => (isFloat(dtype) ? [i] : []));
  // All outputs at once, then each alone: rules must cope with outputs the loss does not depend on.
  const choices = floatOutputs.length > 1 ? [floatOutputs, ...floatOutputs.map((i) => [i])] : [floatOutputs];
  for (const choice of choices) {
    const weights = problem.outputs.map(({ shape, dtype }, i): EagerTensor | undefined => {
      if (!choice.includes(i)) return undefined;
      const data = Float64Array.from({ length: sizeOfShape(shape) }, () => random.uniform() - 0.5);
      return { dtype, shape, data };
    });
    compare(operator, problem, tensors, weights, random);
  }
}

const sizeOfShape = (shape: readonly number[]): number => shape.reduce((size, extent) => size * extent, 1);

function compare(
  operator: Operator,
  problem: Problem,
  inputs: readonly (EagerTensor | undefined)[],
  weights: readonly (EagerTensor | undefined)[],
  random: Random,
): void {
  const build = new EagerBuilder();
  const outputs = build.applyAll(operator, inputs, problem.attributes);
  const gradients = sweep(build, outputs, weights, inputs);

  inputs.forEach((input, i) => {
    if (!input || !isFloat(input.dtype)) return;
    const count = input.data.length;
    const places =
      count <= MAX_ELEMENTS
        ? [...input.data.keys()]
        : Array.from({ length: MAX_ELEMENTS }, () => random.integer(count));
    // One element at a time, then all of them at once in a random direction.
    const directions = places.map((place) => new Map([[place, 1]]));
    directions.push(new Map([...input.data.keys()].map((place) => [place, random.uniform() - 0.5])));
    for (const direction of directions) {
      const { slope, noise } = centralDifference(operator, problem, inputs, i, direction, weights);
      let ours = 0;
      let scale = 0;
      for (const [place, amount] of direction) {
        const term = (gradients[i]?.data[place] ?? 0) * amount;
        ours += term;
        scale += Math.abs(term);
      }
      const tolerance = 1e-6 * Math.max(Math.abs(slope), scale) + noise;
      const where = `∂/∂${operator.inputs[i]} ${direction.size === 1 ? `[${[...direction.keys()][0]}]` : "along a direction"}`;
      if (!(Math.abs(ours - slope) <= tolerance))
        expect.fail(`${where}: rule ${ours}, difference ${slope}, tolerance ${tolerance}`);
    }
  });
}

/** Slope of Σ weights · outputs along `direction` of input `index`, and how much of it may be rounding. */
function centralDifference(
  operator: Operator,
  problem: Problem,
  inputs: readonly (EagerTensor | undefined)[],
  index: number,
  direction: ReadonlyMap<number, number>,
  weights: readonly (EagerTensor | undefined)[],
): { slope: number; noise: number } {
  const input = inputs[index]!;
  // Larger steps for larger values, which carry larger roundings; all far below the gaps between distinct values.
  const size = Math.min(...[...direction.keys()].map((place) => Math.abs(input.data[place]!)));
  const h = 1e-5 * Math.max(1, Math.sqrt(Math.min(size, 1e10)));
  const moved = (step: number): readonly { values: Float64Array }[] => {
    const data = Float64Array.from(input.data);
    for (const [place, amount] of direction) data[place]! += step * amount;
    return evaluateReference(
      operator,
      inputs.map((other, i) => (i === index ? { ...input, data } : other)),
      problem,
    );
  };
  const up = moved(h);
  const down = moved(-h);
  let slope = 0;
  let magnitude = 0;
  weights.forEach((weight, output) =>
    weight?.data.forEach((w, i) => {
      const [high, low] = [up[output]!.values[i]!, down[output]!.values[i]!];
      if (high === low) return; // unaffected: contributes neither slope nor rounding
      slope += (w * (high - low)) / (2 * h);
      magnitude += Math.abs(w) * (Math.abs(high) + Math.abs(low));
    }),
  );
  // Roundings of references that sum n terms grow with n; 1e-14 covers a few dozen units in the last place.
  return { slope, noise: (1e-14 * magnitude) / h + 1e-9 };
}
