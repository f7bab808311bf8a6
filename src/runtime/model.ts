// A compiled model: a plan made ready on one backend, with all that can be asked of it.

import { UnsupportedError } from "../core/errors.ts";
import type { Graph } from "../graph/graph.ts";
import type { Plan } from "../scheduler/plan.ts";
import type { Executable, Inputs, Outputs, RunOptions } from "./executor.ts";
import type { GpuExecutable } from "./gpu/executable.ts";
import type { ProfileReport } from "./profile.ts";
import type { VerifyReport } from "./verify.ts";

export interface VerifyOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

export class Model implements Disposable {
  /** @internal Use `engine.compile`. */
  constructor(
    private executable: Executable,
    /** The adapter it runs on, or the CPU reference. */
    readonly adapter: string,
    private readonly onDispose: () => void,
    /** @internal What it was compiled from. */
    readonly graph: Graph,
    private readonly prepare: () => Promise<Executable>,
  ) {}

  /** What a run does, as data; `String(model.plan)` is a table. */
  get plan(): Plan {
    return this.executable.compiled.plan;
  }

  /**
   * Runs the model. `inputs` holds every input by name; the outputs asked for (all by default) come back as host
   * tensors. `outputs: []` returns once the work is queued. Runs may overlap; they are carried out in order.
   *
   * @throws UsageError, ShapeError or DTypeError for inputs that do not fit.
   */
  run(inputs: Inputs, options?: RunOptions): Promise<Outputs> {
    return this.executable.run(inputs, options);
  }

  /**
   * Encodes the model into the caller's command encoder, between the caller's own buffers: no submit, no read-back.
   * Inputs and outputs left out use the model's buffers. Inputs of float16, bool and integers of 8 or 16 bits are packed (two
   * or four elements a word, as in their own typed array; `plan.values` says so by `storage`); all else is a word an element.
   */
  encode(...args: Parameters<GpuExecutable["encode"]>): void {
    if (!("encode" in this.executable))
      throw new UnsupportedError("encode: the CPU backend has no command encoder; use run");
    (this.executable as GpuExecutable).encode(...args);
  }

  /** Carries every step out again on the CPU reference and judges it by its own error bound. */
  async verify(inputs: Inputs, options: VerifyOptions = {}): Promise<VerifyReport> {
    const { verify } = await import("./verify.ts");
    return verify(this.executable, inputs, this.adapter, options);
  }

  /** Times every step (timestamp queries on a GPU): medians over `repeats` runs, default 5. */
  async profile(inputs: Inputs, { repeats = 5 }: { repeats?: number } = {}): Promise<ProfileReport> {
    const { profile } = await import("./profile.ts");
    return profile(this.executable, inputs, this.adapter, repeats);
  }

  /** @internal Plans it anew, with what has been measured since. */
  async recompile(): Promise<void> {
    const executable = await this.prepare();
    this.executable.dispose();
    this.executable = executable;
  }

  /** Frees the model's buffers. Variables stay with the engine. */
  dispose(): void {
    this.onDispose();
    this.executable.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
