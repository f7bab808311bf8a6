// Every rewrite with every parameter set on every case of its operator that it takes: planned and run as a model is, and
// judged by the operator's own error bound, times what the rewrite says it needs more. Cases come from src/ops, rewrites
// from shaders/, so a new file of either is tested as soon as it is listed.

import { afterAll, describe, expect, test } from "vitest";
import * as operatorModule from "../../src/ops/index.ts";
import type { Operator } from "../../src/ops/operator.ts";
import { GpuExecutor } from "../../src/runtime/gpu/executor.ts";
import { SOFTWARE_TRAITS } from "../../src/scheduler/choose.ts";
import { rewriteGraph } from "../../src/scheduler/expand.ts";
import { schedule, toolbox } from "../../src/scheduler/schedule.ts";
import { loadRewrites, loadStrategies, operatorsWithKernels } from "../../shaders/index.ts";
import { parameterSets, type AnyRewrite, type KernelLimits, type Parameters } from "../../shaders/strategy.ts";
import { acquireKernelGpu, releaseKernelGpus } from "../harness/kernelGpu.ts";
import { firstError } from "../harness/kernelRunner.ts";
import { prepareCases, type PreparedCase } from "../harness/operatorCases.ts";

const gpu = await acquireKernelGpu({ minimumLimits: true });
const executor = new GpuExecutor(gpu);
afterAll(() => {
  executor.dispose();
  gpu.dispose();
  releaseKernelGpus();
});

const TIMEOUT_MS = 600_000;

const operators = Object.values(operatorModule as Record<string, unknown>).filter(isOperator);
const rewritable: { operator: Operator; rewrites: readonly AnyRewrite[] }[] = [];
const namesWithKernel = await operatorsWithKernels();
for (const operator of operators.filter(({ name }) => namesWithKernel.includes(name))) {
  const rewrites = await loadRewrites(operator.name);
  if (rewrites.length > 0) rewritable.push({ operator, rewrites });
}

describe("rewrites", { timeout: TIMEOUT_MS }, () => {
  test.each(rewritable)("$operator.name lists names that no kernel has, each once", async ({ operator, rewrites }) => {
    const names = [...rewrites, ...(await loadStrategies(operator.name))].map(({ name }) => name);
    expect(new Set(names).size, names.join(", ")).toBe(names.length);
  });

  test.each(rewritable)("$operator.name by every rewrite", async ({ operator, rewrites }) => {
    const cases = prepareCases(operator);
    const failures: string[] = [];
    for (const rewrite of rewrites) {
      const taken = cases.flatMap((one) =>
        accepted(rewrite, one, gpu.kernelLimits).map((params) => ({ ...one, params })),
      );
      expect(taken.length, `no case of ${operator.name} comes to ${rewrite.name}`).toBeGreaterThan(0);
      for (const one of taken) failures.push(...(await failuresOf(rewrite, one, one.params)));
    }
    expect(failures).toEqual([]);
  });
});

/** The rewrite's parameter sets that take the case; refusals must give their reason. */
function accepted(rewrite: AnyRewrite, { problem, label }: PreparedCase, limits: KernelLimits): Parameters[] {
  return parameterSets(rewrite).filter((params) => {
    const answer = rewrite.supports(problem, limits, params);
    if (answer !== true) expect(answer, `${rewrite.name} on ${label}`).toMatch(/./);
    return answer === true;
  });
}

async function failuresOf(rewrite: AnyRewrite, prepared: PreparedCase, params: Parameters): Promise<string[]> {
  const what = `${rewrite.operator}/${rewrite.name} ${JSON.stringify(params)} on ${prepared.label}`;
  try {
    return (await errorsOf(rewrite, prepared, params)).map((said) => `${what}: ${said}`);
  } catch (error) {
    return [`${what}: ${(error as Error).message}`];
  }
}

async function errorsOf(
  rewrite: AnyRewrite,
  { problem, inputs, expected }: PreparedCase,
  params: Parameters,
): Promise<string[]> {
  const graph = rewriteGraph(rewrite, problem, params, toolbox);
  const limits = gpu.kernelLimits;
  const compiled = await schedule(graph, { limits, traits: SOFTWARE_TRAITS, loadStrategies });
  using executable = await executor.prepare(compiled);
  const read = [...graph.inputs.keys()].map((name) => [name, inputs[Number(name)]!] as const);
  const outputs = await executable.run(Object.fromEntries(read));
  const factor = rewrite.errorFactor?.(problem, params) ?? 1;
  return expected.flatMap(({ values, errors }, i) => {
    const bounds = errors.map((error) => factor * error);
    return firstError(outputs[String(i)]!.data, values, bounds) ?? [];
  });
}

function isOperator(value: unknown): value is Operator {
  return typeof value === "object" && value !== null && "infer" in value && "reference" in value && "cases" in value;
}
