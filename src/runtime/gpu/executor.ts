// The GPU backend: turns a plan's data into pipelines, buffers and bind groups once, in parallel.

import { throwIfAborted } from "../../core/errors.ts";
import type { Gpu } from "../../device/gpu.ts";
import type { GpuPipeline } from "../../device/pipelines.ts";
import type { Variable } from "../../graph/variable.ts";
import type { Compiled } from "../../scheduler/schedule.ts";
import type { Executor, PrepareOptions } from "../executor.ts";
import { GpuExecutable } from "./executable.ts";
import { GpuVariables } from "./variables.ts";

export class GpuExecutor implements Executor {
  private readonly variables: GpuVariables;

  constructor(private readonly gpu: Gpu) {
    this.variables = new GpuVariables(gpu);
  }

  async prepare(compiled: Compiled, options: PrepareOptions = {}): Promise<GpuExecutable> {
    const pipelines = await this.pipelines(compiled, options);
    return this.gpu.scope(`preparing ${compiled.plan.steps.length} steps`, () => {
      const buffers = compiled.plan.buffers.map(({ kind, name, sizeBytes }, index) => {
        const variable = compiled.variables.get(index);
        return variable
          ? this.variables.buffer(variable)
          : this.gpu.createBuffer(sizeBytes, "storage", `${kind} ${name}`);
      });
      for (const [index, { data }] of compiled.constants) this.gpu.write(buffers[index]!, data);
      return new GpuExecutable(this.gpu, compiled, pipelines, buffers);
    });
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
