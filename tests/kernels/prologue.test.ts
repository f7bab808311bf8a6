// Every strategy of the operators that take a prologue, with one: what makes their input is evaluated while they read it.

import { afterAll, expect, test } from "vitest";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import * as operatorModule from "../../src/ops/index.ts";
import { boundOf, evaluateReference } from "../../src/ops/evaluate.ts";
import type { Operator, Problem } from "../../src/ops/operator.ts";
import { loadStrategies, operatorsWithKernels } from "../../shaders/index.ts";
import { writePrologue } from "../../shaders/prologue.ts";
import type { PointwiseProgram } from "../../shaders/strategy.ts";
import { failuresOf, sampledChecks, type CheckedProblem } from "../harness/kernelChecks.ts";
import { acquireKernelGpu, releaseKernelGpus } from "../harness/kernelGpu.ts";
import { evaluateProgram, exactly, prepareCases, randomTensor, type PreparedCase } from "../harness/operatorCases.ts";
import { ProgramBuilder } from "../harness/programs.ts";

const { add, mul, relu } = operatorModule;

const gpu = await acquireKernelGpu();
afterAll(() => {
  gpu.dispose();
  releaseKernelGpus();
});

/** Problems a strategy is given, spread over its operator's cases. */
const CASES = 4;

const namesWithKernel = await operatorsWithKernels();
const streaming = Object.values(operatorModule as Record<string, unknown>)
  .filter(isOperator)
  .filter((operator) => operator.spread && namesWithKernel.includes(operator.name));

test.each(streaming)("$name with a prologue", { timeout: 300_000 }, async (operator) => {
  const problems = prepareCases(operator).flatMap((one) => withPrologue(operator, one));
  const checks = sampledChecks(await loadStrategies(operator.name), problems, gpu.kernelLimits, CASES);
  expect(checks.length).toBeGreaterThanOrEqual(CASES);
  expect(await failuresOf(gpu, checks)).toEqual([]);
});

/** The case with a scaled and shifted input, the shift a row and an activation behind. */
function withPrologue(operator: Operator, { label, problem }: PreparedCase): CheckedProblem[] {
  const [first] = problem.inputs;
  if (first!.dtype !== "float32" || sizeOf(first!.shape) === 0) return [];
  const program = scaledAndShifted(first!.shape);
  const made = program.inputs.map((type, i) => randomTensor(type, 31 + i));
  const [input] = evaluateProgram(program, made.map(exactly));
  const behind = new ProgramBuilder();
  const activation = behind.build(behind.apply(relu, [behind.input(problem.outputs[0]!.shape)]));
  const result = judged(operator, problem, input!.values, input!.errors);
  return [
    { what: `${label} behind a prologue`, expected: [result] },
    {
      what: `${label} behind a prologue, + Relu`,
      expected: evaluateProgram(activation, [result]),
      program: activation,
    },
  ].map(({ what, expected, program: epilogue }) => ({
    what,
    operator,
    problem: { ...problem, prologue: { program, write: writePrologue }, ...(epilogue ? { program: epilogue } : {}) },
    inputs: [undefined],
    made,
    extras: [],
    expected,
  }));
}

function scaledAndShifted(shape: Shape): PointwiseProgram {
  const builder = new ProgramBuilder();
  const row = shape.map((extent, axis) => (axis === shape.length - 1 ? extent : 1));
  const scaled = builder.apply(mul, [builder.input(shape), builder.literal(0.5)]);
  return builder.build(builder.apply(relu, [builder.apply(add, [scaled, builder.input(row)])]));
}

/** The operator on values that are only known to within `errors`. */
function judged(operator: Operator, problem: Problem, values: Float64Array, errors: Float64Array) {
  const input = { ...problem.inputs[0]!, data: values };
  const [result] = evaluateReference(operator, [input], problem);
  const spread = operator.spread!(input, errors, problem);
  const bounds = boundOf(operator, problem, 0, result!).map((bound, i) => bound + spread[i]!);
  return { values: result!.values, errors: bounds };
}

function isOperator(value: unknown): value is Operator {
  return typeof value === "object" && value !== null && "infer" in value && "reference" in value && "cases" in value;
}
