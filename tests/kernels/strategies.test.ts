// Every strategy with every parameter set on every case of its operator, against the float64 reference: on the adapter's
// own limits and on those every WebGPU device grants. Nothing is listed here: operators come from src/ops, strategies from
// shaders/, so a new file of either is tested as soon as it is exported.

import { afterAll, describe, expect, test } from "vitest";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import * as operatorModule from "../../src/ops/index.ts";
import type { Operator } from "../../src/ops/operator.ts";
import { pointwise } from "../../src/ops/pointwise.ts";
import { loadStrategies, operatorsWithKernels } from "../../shaders/index.ts";
import {
  DEFAULT_LIMITS,
  parameterSets,
  type AnyStrategy,
  type KernelLimits,
  type KernelProblem,
} from "../../shaders/strategy.ts";
import {
  acceptedParameters,
  failuresOf,
  sampledChecks,
  type Check,
  type CheckedProblem,
} from "../harness/kernelChecks.ts";
import { acquireKernelGpu, releaseKernelGpus } from "../harness/kernelGpu.ts";
import { taskLabel } from "../harness/kernelRunner.ts";
import { evaluateProgram, exactly, prepareCases, randomTensor, type PreparedCase } from "../harness/operatorCases.ts";
import { ProgramBuilder, programProblem, singleProgram } from "../harness/programs.ts";

const { add, greater, mul, relu, where } = operatorModule;

const operators = Object.values(operatorModule as Record<string, unknown>)
  .filter(isOperator)
  .filter((operator) => operator !== pointwise);
const elementwise = operators.filter((operator) => operator.pointwise);
const namesWithKernel = await operatorsWithKernels();
const withKernel = operators.filter((operator) => namesWithKernel.includes(operator.name));

const devices = [
  { name: "the adapter's limits", gpu: await acquireKernelGpu() },
  { name: "default limits", gpu: await acquireKernelGpu({ minimumLimits: true }) },
];
afterAll(() => {
  for (const { gpu } of devices) gpu.dispose();
  releaseKernelGpus();
});

/** Hundreds of pipelines an operator: seconds on an idle machine, minutes on a busy one without a GPU. */
const TIMEOUT_MS = 600_000;

/** Problems each strategy is given an epilogue on: both kinds come up, as they alternate. */
const EPILOGUE_CASES = 4;

const preparedCases = new Map<Operator, PreparedCase[]>();

/** Cases with their references, computed once for all devices. */
function casesOf(operator: Operator): PreparedCase[] {
  let cases = preparedCases.get(operator);
  if (!cases) preparedCases.set(operator, (cases = prepareCases(operator)));
  return cases;
}

/** Checks of every strategy that takes the problem, with every parameter set; `naive` must be among them. */
function checksOf(strategies: readonly AnyStrategy[], checked: CheckedProblem, limits: KernelLimits): Check[] {
  const { what, expected, ...task } = checked;
  const naive = strategies.find(({ name }) => name === "naive");
  if (!naive) throw new Error(`${task.operator.name} has no strategy called naive`);
  const answer = naive.supports(task.problem, limits, parameterSets(naive)[0]!);
  if (answer !== true) throw new Error(`naive refuses ${task.operator.name} on ${what}: ${answer}`);
  return strategies.flatMap((strategy) =>
    acceptedParameters(strategy, task.problem, limits).map((params) => ({
      what,
      expected,
      task: { ...task, strategy, params },
    })),
  );
}

describe("families", () => {
  test("every operator that needs a kernel has one", async () => {
    const needing = operators.filter((operator) => !operator.pointwise && !operator.decompose && !operator.alias);
    expect(needing.length).toBeGreaterThan(0);
    for (const { name } of needing) expect(await loadStrategies(name), name).not.toEqual([]);
  });

  test("every family runs a known operator and lists its strategies once", async () => {
    const known = new Set([...operators.map(({ name }) => name), pointwise.name]);
    for (const name of namesWithKernel) {
      expect(known).toContain(name);
      const names = (await loadStrategies(name)).map((strategy) => strategy.name);
      expect(names, name).toContain("naive");
      expect(new Set(names).size, `${name}: ${names.join(", ")}`).toBe(names.length);
    }
  });

  test("an operator without kernels is named in the error", async () => {
    await expect(loadStrategies("Nonsense")).rejects.toThrow("Nonsense");
    await expect(loadStrategies("toString")).rejects.toThrow("toString");
  });

  test("traffic, barriers and intensity are sensible on every case", async () => {
    for (const operator of withKernel)
      for (const strategy of await loadStrategies(operator.name))
        for (const { problem, label } of casesOf(operator))
          for (const params of acceptedParameters(strategy, problem, DEFAULT_LIMITS)) {
            const what = `${taskLabel({ operator, strategy, params })} on ${label}`;
            expect(strategy.trafficBytes(problem, params), what).toBeGreaterThanOrEqual(0);
            expect(strategy.barriers?.(problem, params) ?? 0, what).toBeGreaterThanOrEqual(0);
            expect(strategy.intensity?.(problem, params) ?? 0.5, what).toBeGreaterThan(0);
            for (const workgroups of strategy.dispatch(problem, params)) {
              expect(Number.isInteger(workgroups), what).toBe(true);
              expect(workgroups, what).toBeLessThanOrEqual(DEFAULT_LIMITS.maxComputeWorkgroupsPerDimension);
            }
          }
  });
});

describe.each(devices)("on $name", { timeout: TIMEOUT_MS }, ({ gpu }) => {
  test.each(withKernel)("$name", async (operator) => {
    const strategies = await loadStrategies(operator.name);
    const checks = casesOf(operator).flatMap(({ label, problem, inputs, expected }) =>
      checksOf(strategies, { what: label, operator, problem, inputs, expected }, gpu.kernelLimits),
    );
    expect(checks.length).toBeGreaterThan(0);
    expect(await failuresOf(gpu, checks)).toEqual([]);
  });

  test.each(withKernel.filter(hasEpilogue))("$name with an epilogue", async (operator) => {
    const strategies = await loadStrategies(operator.name);
    const checks = sampledChecks(strategies, epilogueProblems(operator), gpu.kernelLimits, EPILOGUE_CASES);
    for (const { name } of strategies.filter((strategy) => isReached(strategy, operator, gpu.kernelLimits)))
      expect(checks.map(({ task }) => task.strategy.name)).toContain(name);
    expect(await failuresOf(gpu, checks)).toEqual([]);
  });

  test.each(elementwise)("$name as a program of one instruction", async (operator) => {
    const strategies = await loadStrategies(pointwise.name);
    const checks = casesOf(operator).flatMap(({ label, problem, inputs, expected }) => {
      const types = problem.inputs.filter((type) => type !== undefined);
      const program = singleProgram(operator, types, problem.outputs[0]!, problem.attributes);
      const values = inputs.filter((input) => input !== undefined);
      return checksOf(
        strategies,
        {
          what: `${operator.name} ${label}`,
          operator: pointwise,
          problem: programProblem(program),
          inputs: values,
          expected,
        },
        gpu.kernelLimits,
      );
    });
    expect(checks.length).toBeGreaterThan(0);
    expect(await failuresOf(gpu, checks)).toEqual([]);
  });

  test.each(handWrittenPrograms())("a program: $what", async ({ what, problem }) => {
    const { program } = problem;
    const inputs = program!.inputs.map((type, i) => randomTensor(type, 77 + i));
    const expected = evaluateProgram(program!, inputs.map(exactly));
    const strategies = await loadStrategies(pointwise.name);
    const checks = checksOf(strategies, { what, operator: pointwise, problem, inputs, expected }, gpu.kernelLimits);
    expect(checks.length).toBeGreaterThan(0);
    expect(await failuresOf(gpu, checks)).toEqual([]);
  });
});

test("a program with too many operands is refused with the reason", async () => {
  const builder = new ProgramBuilder();
  const sum = Array.from({ length: 8 }, () => builder.input([5])).reduce((a, b) => builder.apply(add, [a, b]));
  const problem = programProblem(builder.build(sum));
  for (const strategy of await loadStrategies(pointwise.name)) {
    const params = parameterSets(strategy)[0]!;
    expect(strategy.supports(problem, DEFAULT_LIMITS, params)).not.toBe(true);
  }
  const inPlace = { ...problem, inPlace: [3] };
  const naive = (await loadStrategies(pointwise.name)).find(({ name }) => name === "naive")!;
  expect(naive.supports(inPlace, DEFAULT_LIMITS, parameterSets(naive)[0]!)).toBe(true);
});

function isOperator(value: unknown): value is Operator {
  return typeof value === "object" && value !== null && "infer" in value && "reference" in value && "cases" in value;
}

/** A value is fused into one result: an operator with one float32 output that has elements in some case. */
function hasEpilogue(operator: Operator): boolean {
  return operator.outputs.length === 1;
}

/** True if some case of the operator with a float32 result comes to the strategy. */
function isReached(strategy: AnyStrategy, operator: Operator, limits: KernelLimits): boolean {
  return casesOf(operator).some(
    ({ problem }) =>
      problem.outputs[0]!.dtype === "float32" && acceptedParameters(strategy, problem, limits).length > 0,
  );
}

/** Cases of an operator with something fused behind it: Relu, and the sum with a stretched residual, then Relu. */
function epilogueProblems(operator: Operator): CheckedProblem[] {
  return casesOf(operator).flatMap(({ label, problem, inputs, expected }) => {
    const [output] = problem.outputs;
    if (output!.dtype !== "float32" || sizeOf(output!.shape) === 0) return [];
    const { shape } = output!;

    const activation = new ProgramBuilder();
    const activated = activation.build(activation.apply(relu, [activation.input(shape)]));

    const residual = new ProgramBuilder();
    const sum = residual.apply(add, [residual.input(shape), residual.input(rowOf(shape))]);
    const added = residual.build(residual.apply(relu, [sum]));
    const extras = [randomTensor(rowOf(shape), 5)];

    return [
      { what: `${label} + Relu`, program: activated, extras: [] },
      { what: `${label} + residual + Relu`, program: added, extras },
    ].map(({ what, program, extras: values }) => ({
      what,
      operator,
      problem: { ...problem, program },
      inputs,
      extras: values,
      expected: evaluateProgram(program, [expected[0]!, ...values.map(exactly)]),
    }));
  });
}

/** Shape of a residual that is stretched over all axes of `shape` but the outermost and the innermost. */
function rowOf(shape: Shape): Shape {
  return shape.map((extent, axis) => (axis === 0 || axis === shape.length - 1 ? extent : 1));
}

/** Programs with what single operators lack: several instructions, several outputs, overwriting, literals, mixed types. */
function handWrittenPrograms(): { what: string; problem: KernelProblem }[] {
  const programs: { what: string; problem: KernelProblem }[] = [];
  for (const shape of [[3, 5, 8], [7, 13], [4, 1, 64], [1], [2, 2, 2, 2]] as const) {
    const b = new ProgramBuilder();
    const [x, bias, scale] = [
      b.input(shape),
      b.input([shape.at(-1)!]),
      b.input(shape.slice(0, 1).concat(shape.slice(1).map(() => 1))),
    ];
    const affine = b.apply(add, [b.apply(mul, [x, scale]), bias]);
    const activated = b.apply(relu, [affine]);
    const halved = b.apply(mul, [activated, b.literal(-0.5)]);
    const isLarge = b.apply(greater, [activated, b.literal(0.25)]);
    const chosen = b.apply(where, [isLarge, halved, x]);
    const what = `on [${shape.join(", ")}]`;
    const program = b.build(chosen);
    programs.push({ what: `scale, bias, Relu, choice ${what}`, problem: programProblem(program) });
    programs.push({ what: `the same overwriting x ${what}`, problem: programProblem(program, [0]) });
    const several = b.build(affine, activated, chosen);
    programs.push({ what: `three outputs ${what}`, problem: programProblem(several) });
    programs.push({
      what: `three outputs, the second over x ${what}`,
      problem: programProblem(several, [undefined, 0]),
    });
    const mixed = b.build(isLarge, chosen);
    programs.push({ what: `a float32 input overwritten by a bool ${what}`, problem: programProblem(mixed, [0]) });
  }
  const fold = new ProgramBuilder();
  const y = fold.apply(operatorModule.max, [fold.input([12]), fold.literal(-Infinity)]);
  programs.push({
    what: "an infinite literal",
    problem: programProblem(fold.build(fold.apply(operatorModule.min, [y, fold.literal(Infinity)]))),
  });
  const middle = new ProgramBuilder();
  const z = middle.apply(add, [middle.input([3, 1, 4]), middle.input([1, 5, 1])]);
  const w = middle.apply(mul, [z, middle.input([2, 1, 1, 1])]);
  programs.push({ what: "an outer sum stretched once more", problem: programProblem(middle.build(w)) });
  return programs;
}
