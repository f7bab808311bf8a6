// Hundreds of random problems an operator family against the float64 reference, on the limits every device grants: every
// strategy, each with parameters drawn for it. Two strategies that are both within their bound of the reference disagree
// by no more than the two bounds. A problem that fails belongs into its operator's cases.

import { afterAll, expect, test } from "vitest";
import { Random } from "../../src/core/random.ts";
import { pointwise } from "../../src/ops/pointwise.ts";
import { assemble } from "../../shaders/assemble.ts";
import { loadStrategies } from "../../shaders/index.ts";
import { DEFAULT_LIMITS, type AnyStrategy, type KernelLimits } from "../../shaders/strategy.ts";
import { acceptedParameters, failuresOf, type Check, type CheckedProblem } from "../harness/kernelChecks.ts";
import { acquireKernelGpu, releaseKernelGpus } from "../harness/kernelGpu.ts";
import { evaluateProgram, exactly, prepareProblem, randomTensor } from "../harness/operatorCases.ts";
import { programProblem } from "../harness/programs.ts";
import { drawProblems, randomFamilies, type RandomProblem } from "../harness/randomProblems.ts";

const PROBLEMS = 300;
const SEED = Number(process.env["SEED"] ?? 1);
/** Compiling takes most of the time: beyond so many kernels of a family, only `naive` gets new ones. */
const MOST_KERNELS = 48;
/** More barriers, counted for each invocation, take a software adapter long: such problems are left to other parameters. */
const MOST_BARRIERS = 1 << 15;

const gpu = await acquireKernelGpu({ minimumLimits: true });
const limits: KernelLimits = { ...DEFAULT_LIMITS, features: gpu.features };
afterAll(() => {
  gpu.dispose();
  releaseKernelGpus();
});

test.each(randomFamilies)("$name", { timeout: 600_000 }, async (family) => {
  const problems = drawProblems(family, PROBLEMS, SEED);
  expect(problems.length).toBeGreaterThanOrEqual(PROBLEMS);
  const random = new Random(SEED);
  const kernels = new Set<string>();
  const checks: Check[] = [];
  const supported = new Set<string>();
  for (const [number, drawn] of problems.entries()) {
    const problem = checkedProblem(drawn, SEED + number);
    const strategies = await loadStrategies(drawn.operator.name);
    const own = strategies.flatMap((strategy) => checkOf(strategy, problem, random));
    for (const check of own) supported.add(check.task.strategy.name);
    const affordable = own.filter(({ task }) => {
      const { wgsl } = assemble(task.operator, task.strategy, task.problem, task.params);
      if (!kernels.has(wgsl) && kernels.size >= MOST_KERNELS && task.strategy.name !== "naive") return false;
      kernels.add(wgsl);
      return true;
    });
    expect(affordable.length, problem.what).toBeGreaterThan(0);
    checks.push(...affordable);
  }
  expect(await failuresOf(gpu, checks)).toEqual([]);
  expect(new Set(checks.map(({ task }) => task.strategy.name))).toEqual(supported);
});

function checkedProblem({ operator, inputs, attributes, program }: RandomProblem, seed: number): CheckedProblem {
  const values = inputs.map((input, i) => input && randomTensor(input, 100 * seed + i));
  if (program) {
    const given = values.map((value) => value!);
    const expected = evaluateProgram(program, given.map(exactly));
    const what = `${program.instructions.length} instructions on [${program.domain.join(", ")}]`;
    return { what, operator: pointwise, problem: programProblem(program), inputs: given, expected };
  }
  const { label, problem, expected } = prepareProblem(operator, values, attributes);
  return { what: label, operator, problem, inputs: values, expected };
}

/** One parameter set of the strategy, if it takes the problem. Which one depends on the problem as little as can be. */
function checkOf(strategy: AnyStrategy, { what, expected, ...task }: CheckedProblem, random: Random): Check[] {
  const accepted = acceptedParameters(strategy, task.problem, limits).filter(
    (params) => (strategy.barriers?.(task.problem, params) ?? 0) <= MOST_BARRIERS,
  );
  if (accepted.length === 0) return [];
  const params = accepted[random.integer(accepted.length)]!;
  return [{ what, expected, task: { ...task, strategy, params } }];
}
