// The GPU backend: turns a plan's data into pipelines, buffers and bind groups once, in parallel.

import { throwIfAborted } from "../../core/errors.ts";
import type { Gpu } from "../../device/gpu.ts";
import type { GpuPipeline } from "../../device/pipelines.ts";
import type { Variable } from "../../graph/variable.ts";
import type { Compiled } from "../../scheduler/schedule.ts";
import type { Executor, PrepareOptions } from "../executor.ts";
import { GpuConstants } from "./constants.ts";
import { GpuExecutable } from "./executable.ts";
import { GpuVariables } from "./variables.ts";

export class GpuExecutor implements Executor {
  private readonly variables: GpuVariables;
  private readonly constants: GpuConstants;

  constructor(private readonly gpu: Gpu) {
    this.variables = new GpuVariables(gpu);
    this.constants = new GpuConstants(gpu);
  }

  async prepare(compiled: Compiled, options: PrepareOptions = {}): Promise<GpuExecutable> {
    const pipelines = await this.pipelines(compiled, options);
    const { plan, constants, variables } = compiled;
    const executable = await this.gpu.scope(`preparing ${plan.steps.length} steps`, () => {
      const buffers = plan.buffers.map(({ kind, name, sizeBytes }, index) => {
        const variable = variables.get(index);
        if (variable) return this.variables.buffer(variable);
        const constant = constants.get(index);
        if (constant) return this.constants.acquire(constant, sizeBytes, name);
        return this.gpu.createBuffer(sizeBytes, "storage", `${kind} ${name}`);
      });
      return new GpuExecutable(this.gpu, compiled, pipelines, buffers, (buffer) => {
        this.constants.release(buffer);
      });
    });
    try {
      await this.constants.upload();
      throwIfAborted(options.signal);
    } catch (error) {
      executable.dispose();
      throw error;
    }
    return executable;
  }

  /** One pipeline a distinct kernel; errors name the first step that uses it. */
  private async pipelines({ plan }: Compiled, { onProgress, signal }: PrepareOptions): Promise<GpuPipeline[]> {
    let done = 0;
    const total = plan.kernels.length;
    throwIfAborted(signal);
    const pipelines = await Promise.all(
      plan.kernels.map(async ({ wgsl, storage, hasUniforms }, kernel) => {
        const step = plan.steps.findIndex((candidate) => candidate.kind === "dispatch" && candidate.kernel === kernel);
        const pipeline = await this.gpu.pipeline(wgsl, plan.stepName(step), { storage, uniform: hasUniforms });
        onProgress?.(++done, total);
        return pipeline;
      }),
    );
    throwIfAborted(signal);
    return pipelines;
  }

  pull(variables: Iterable<Variable>): Promise<void> {
    return this.variables.pull(variables);
  }

  push(variables: Iterable<Variable>): void {
    this.variables.push(variables);
  }

  release(variables: Iterable<Variable>): void {
    this.variables.release(variables);
  }

  idle(): Promise<void> {
    return this.gpu.idle();
  }

  dispose(): void {
    this.variables.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
