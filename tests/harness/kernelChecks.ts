// Kernels beside what their results may be: the step from "it ran" to "it is right", shared by all kernel tests.

import type { Gpu } from "../../src/device/gpu.ts";
import type { PropagatedValues } from "../../src/ops/evaluate.ts";
import {
  parameterSets,
  type AnyStrategy,
  type KernelLimits,
  type KernelProblem,
  type Parameters,
} from "../../shaders/strategy.ts";
import { firstError, runKernels, taskLabel, type KernelTask } from "./kernelRunner.ts";

/** A task and what its outputs may be. */
export interface Check {
  readonly what: string;
  readonly task: KernelTask;
  readonly expected: readonly PropagatedValues[];
}

/** Runs all checks; returns a line for each that failed. */
export async function failuresOf(gpu: Gpu, checks: readonly Check[]): Promise<string[]> {
  const results = await runKernels(
    gpu,
    checks.map(({ task }) => task),
  );
  return checks.flatMap(({ what, task, expected }, i) => {
    const result = results[i]!;
    const said =
      "failure" in result
        ? result.failure
        : expected
            .map(({ values, errors }, output) => firstError(result.outputs[output]!, values, errors))
            .find((text) => text !== undefined);
    return said === undefined ? [] : [`${taskLabel(task)} on ${what}: ${said}`];
  });
}

/** The strategy's parameter sets that take the problem; refusals must give their reason. */
export function acceptedParameters(strategy: AnyStrategy, problem: KernelProblem, limits: KernelLimits): Parameters[] {
  return parameterSets(strategy).filter((params) => {
    const answer = strategy.supports(problem, limits, params);
    if (answer !== true && !(typeof answer === "string" && answer.length > 0))
      throw new Error(`${strategy.operator}/${strategy.name} gives no reason for refusing ${JSON.stringify(params)}`);
    return answer === true;
  });
}

/** A problem with values, before a strategy is chosen for it. */
export type CheckedProblem = Omit<Check, "task"> & Omit<KernelTask, "strategy" | "params">;

/** For every strategy, `count` of the problems it takes, spread over all of them, with its untuned parameters. */
export function sampledChecks(
  strategies: readonly AnyStrategy[],
  problems: readonly CheckedProblem[],
  limits: KernelLimits,
  count: number,
): Check[] {
  return strategies.flatMap((strategy) => {
    const taken = problems.flatMap((checked): Check[] => {
      const { what, expected, ...task } = checked;
      const [params] = acceptedParameters(strategy, task.problem, limits);
      return params ? [{ what, expected, task: { ...task, strategy, params } }] : [];
    });
    const places = Array.from({ length: count }, (_, i) => Math.round((i * (taken.length - 1)) / (count - 1)));
    return taken.filter((_, i) => places.includes(i));
  });
}
