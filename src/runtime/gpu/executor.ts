// The GPU backend: turns a plan's data into pipelines, buffers and bind groups once, in parallel.

import { unlessAborted } from "../../core/pause.ts";
import type { Gpu } from "../../device/gpu.ts";
import type { GpuPipeline } from "../../device/pipelines.ts";
import type { Variable } from "../../graph/variable.ts";
import type { PlanKernel } from "../../scheduler/plan.ts";
import type { Compiled } from "../../scheduler/schedule.ts";
import type { Executor, OnCompileProgress, PrepareOptions } from "../executor.ts";
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

  /** Starts compiling a kernel that a plan in the making needs; {@link prepare} tells what becomes of it. */
  compile({ wgsl, storage, hasUniforms }: PlanKernel, stepName: string): void {
    this.gpu.pipeline(wgsl, stepName, { storage, uniform: hasUniforms }).catch(() => undefined);
  }

  async prepare(compiled: Compiled, { onProgress, signal }: PrepareOptions = {}): Promise<GpuExecutable> {
    const tell: OnCompileProgress = (...progress) => {
      if (!signal?.aborted) onProgress?.(...progress); // work in hand may end later
    };
    const pipelines = await unlessAborted(signal, this.pipelines(compiled, tell));
    const { plan, constants, variables, packing } = compiled;
    const storageOf = new Map(plan.values.map(({ buffer, storage }) => [buffer, storage]));
    let buffers: readonly ReturnType<Gpu["createBuffer"]>[] = [];
    const executable = await this.gpu.scope(`preparing ${plan.steps.length} steps`, () => {
      buffers = plan.buffers.map(({ kind, name, sizeBytes }, index) => {
        const variable = variables.get(index);
        if (variable) return this.variables.buffer(variable);
        const constant = constants.get(index);
        const storage = storageOf.get(index);
        if (constant)
          return this.constants.acquire(constant, sizeBytes, name, storage && { storage, packing: packing! });
        return this.gpu.createBuffer(sizeBytes, "storage", `${kind} ${name}`);
      });
      return new GpuExecutable(this.gpu, compiled, pipelines, buffers, (buffer) => {
        this.constants.release(buffer);
      });
    });
    try {
      await unlessAborted(
        signal,
        this.constants.upload(buffers, (done, total) => {
          tell(done, total, "upload");
        }),
      );
    } catch (error) {
      executable.dispose();
      throw error;
    }
    return executable;
  }

  /** One pipeline a distinct kernel; errors name the first step that uses it. */
  private pipelines({ plan }: Compiled, tell: OnCompileProgress): Promise<GpuPipeline[]> {
    let done = 0;
    const total = plan.kernels.length;
    return Promise.all(
      plan.kernels.map(async ({ wgsl, storage, hasUniforms }, kernel) => {
        const step = plan.steps.findIndex((candidate) => candidate.kind === "dispatch" && candidate.kernel === kernel);
        const pipeline = await this.gpu.pipeline(wgsl, plan.stepName(step), { storage, uniform: hasUniforms });
        tell(++done, total, "compile");
        return pipeline;
      }),
    );
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
