// The ways to run a problem: every kernel strategy and every rewrite with each of its parameter sets, and, beside them, what
// the scheduler takes by itself. Each is compiled as a plan of its own, by the same scheduler and executor that models go
// through, so that kernels of one dispatch and rewrites of several are measured alike.

import { storeValues } from "../../src/core/dtype.ts";
import { UnsupportedError } from "../../src/core/errors.ts";
import { Random } from "../../src/core/random.ts";
import { sizeOf } from "../../src/core/shape.ts";
import type { TensorData } from "../../src/core/tensorData.ts";
import type { Gpu } from "../../src/device/gpu.ts";
import { Graph } from "../../src/graph/graph.ts";
import type { Problem } from "../../src/ops/operator.ts";
import type { GpuExecutable } from "../../src/runtime/gpu/executable.ts";
import { GpuExecutor } from "../../src/runtime/gpu/executor.ts";
import { Tuner } from "../../src/runtime/gpu/tuner.ts";
import { HARDWARE_TRAITS, SOFTWARE_TRAITS, type AdapterTraits } from "../../src/scheduler/choose.ts";
import { parametersLabel, type Plan } from "../../src/scheduler/plan.ts";
import { schedule, toolbox, type Compiled, type ScheduleOptions } from "../../src/scheduler/schedule.ts";
import { loadRewrites, loadStrategies } from "../../shaders/index.ts";
import { parameterSets, type AnyRewrite, type AnyStrategy, type Parameters } from "../../shaders/strategy.ts";
import { typesOf, type BenchProblem } from "./problems.ts";

/** One way to run a problem. */
export interface Contender {
  readonly strategy: string;
  /** `rows=4 columns=8`; empty where there are none. */
  readonly parameters: string;
  readonly params: Parameters;
  readonly kernel?: AnyStrategy;
  readonly rewrite?: AnyRewrite;
}

export const contenderLabel = ({ strategy, params }: Contender): string => parametersLabel(strategy, params);

/** A problem with its operands' values. */
export interface Arena {
  readonly problem: BenchProblem;
  readonly types: Problem;
  readonly data: readonly (TensorData | undefined)[];
}

/** Operands uniform in [-1, 1), from a seed. */
export function arenaOf(problem: BenchProblem): Arena {
  const types = typesOf(problem);
  const data = types.inputs.map((type, i): TensorData | undefined => {
    if (!type) return undefined;
    const random = new Random(i + 1);
    const values = Float32Array.from({ length: sizeOf(type.shape) }, () => 2 * random.uniform() - 1);
    return { ...type, data: storeValues(values, type.dtype, problem.name), immutable: true };
  });
  return { problem, types, data };
}

/** Compiles contenders on one device. */
export class Workshop implements Disposable {
  readonly executor: GpuExecutor;
  readonly tuner: Tuner;

  constructor(readonly gpu: Gpu) {
    this.executor = new GpuExecutor(gpu);
    const { kernelLimits: limits } = gpu;
    const traits: AdapterTraits = gpu.adapter.isSoftware ? SOFTWARE_TRAITS : HARDWARE_TRAITS;
    const store = { load: () => Promise.resolve(undefined), save: () => Promise.resolve() }; // nothing outlives the bench
    const { executor } = this;
    this.tuner = new Tuner({ gpu, executor, limits, traits, loadStrategies, loadRewrites, tools: toolbox, store });
  }

  /** All kernels and rewrites of the problem's operator with all parameters, whether they take the problem or not. */
  async contenders({ problem: { operator }, types }: Arena): Promise<Contender[]> {
    const family = operator.pointwise ? "Pointwise" : operator.name;
    const contender = (
      params: Parameters,
      one: Pick<Contender, "kernel" | "rewrite">,
      strategy: string,
    ): Contender => ({
      strategy,
      params,
      parameters: parametersLabel("", params).trim(),
      ...one,
    });
    const kernels = await loadStrategies(family, [types]);
    const rewrites = operator.pointwise ? [] : await loadRewrites(family, [types]);
    return [
      ...kernels.flatMap((kernel) => parameterSets(kernel).map((params) => contender(params, { kernel }, kernel.name))),
      ...rewrites.flatMap((rewrite) =>
        parameterSets(rewrite).map((params) => contender(params, { rewrite }, rewrite.name)),
      ),
    ];
  }

  /** The contender's plan, or why it can't run the problem. */
  async plan(arena: Arena, { kernel, rewrite, params }: Contender): Promise<Compiled | string> {
    const { operator } = arena.problem;
    const family = operator.pointwise ? "Pointwise" : operator.name;
    const { kernelLimits: limits } = this.gpu;
    const answer = operator.pointwise ? true : (kernel ?? rewrite)!.supports(arena.types, limits, params);
    if (answer !== true) return answer;
    try {
      return await this.schedule(arena, {
        ...(rewrite && { strategies: { [operator.name]: rewrite.name } }),
        loadStrategies: (name, problems) =>
          kernel && name === family ? Promise.resolve([settled(kernel, params)]) : loadStrategies(name, problems),
        loadRewrites: (name, problems) => {
          if (name !== family) return loadRewrites(name, problems);
          return Promise.resolve(rewrite ? [settled(rewrite, params)] : []); // a part of a rewrite is not rewritten again
        },
      });
    } catch (error) {
      if (error instanceof UnsupportedError) return error.message;
      throw error;
    }
  }

  /** What the scheduler takes when nothing is forced: by the cost model, or by what has been tuned. */
  chosen(arena: Arena, tuned = false): Promise<Compiled> {
    return this.schedule(arena, { loadStrategies, loadRewrites, ...(tuned && { tuning: this.tuner.table }) });
  }

  prepare(compiled: Compiled): Promise<GpuExecutable> {
    return this.executor.prepare(compiled);
  }

  /** The problem as a graph; inputs and outputs are called by their places. */
  graph({ problem, types, data }: Arena): Graph {
    const graph = new Graph();
    const operands = types.inputs.map((type, i) => {
      if (!type) return undefined;
      return problem.constants.includes(i) ? graph.constant(data[i]!) : graph.input(String(i), type);
    });
    const { operator } = problem;
    graph.append(operator, operands, types.attributes, types.outputs, operator.name).outputs.forEach((value, i) => {
      graph.output(String(i), value);
    });
    return graph;
  }

  [Symbol.dispose](): void {
    this.executor.dispose();
  }

  private schedule(arena: Arena, given: Partial<ScheduleOptions> & Pick<ScheduleOptions, "loadStrategies">) {
    const { kernelLimits: limits } = this.gpu;
    // What is fastest is asked for, not what is ready first.
    const traits = { ...this.tuner.traits, expectedRuns: Infinity };
    return schedule(this.graph(arena), { limits, traits, ...given });
  }
}

/** Two plans with the same signature do the same. */
export function signatureOf({ steps, kernels }: Plan): string {
  return JSON.stringify(
    steps.map((step) =>
      step.kind === "copy"
        ? [step.from.sizeBytes]
        : [kernels[step.kernel]!.wgsl, step.workgroups, step.uniforms.map(({ value }) => value)],
    ),
  );
}

export const dispatchesOf = ({ steps }: Plan): number => steps.length;
export const trafficOf = ({ steps }: Plan): number =>
  steps.reduce((sum, step) => sum + (step.kind === "copy" ? 2 * step.to.sizeBytes : step.trafficBytes), 0);

function settled<S extends AnyStrategy | AnyRewrite>(strategy: S, params: Parameters): S {
  return { ...strategy, params: Object.fromEntries(Object.entries(params).map(([name, value]) => [name, [value]])) };
}
