// Profile: time of every step beside the work it did, so that a kernel's speed can be held against the adapter's.

import { formatBytes, formatCount, formatTable, strategyLabel, type Plan } from "../scheduler/plan.ts";
import type { Executable, Inputs } from "./executor.ts";

export interface StepProfile {
  readonly step: number;
  readonly name: string;
  readonly operator: string;
  readonly strategy: string;
  readonly timeMs: number;
  readonly flops: number;
  /** Fewest bytes the step must move. */
  readonly bytes: number;
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
}

export class ProfileReport {
  constructor(
    readonly adapter: string,
    /** Undefined where single steps cannot be timed; `reason` says why. */
    readonly steps: readonly StepProfile[] | undefined,
    readonly reason: string | undefined,
  ) {}

  /** Sum over all steps. */
  get totalMs(): number | undefined {
    return this.steps?.reduce((sum, { timeMs }) => sum + timeMs, 0);
  }

  /** The `count` slowest steps. */
  slowest(count: number): readonly StepProfile[] {
    return [...(this.steps ?? [])].sort((a, b) => b.timeMs - a.timeMs).slice(0, count);
  }

  toString(): string {
    if (!this.steps) return `no times: ${this.reason}`;
    const total = this.totalMs!;
    const rows = this.steps.map(({ name, strategy, timeMs, flops, bytes, gflops, gigabytesPerSecond }) => [
      name,
      strategy,
      timeMs.toFixed(3),
      `${total > 0 ? ((100 * timeMs) / total).toFixed(1) : "0.0"}%`,
      formatCount(flops),
      formatBytes(bytes),
      gflops.toFixed(2),
      gigabytesPerSecond.toFixed(2),
    ]);
    const table = formatTable(["step", "strategy", "ms", "share", "flops", "bytes", "GFLOP/s", "GB/s"], rows);
    return `${table}\n${total.toFixed(3)} ms in all on ${this.adapter}`;
  }
}

/** Times every step: the median of `repeats` runs. */
export async function profile(
  executable: Executable,
  inputs: Inputs,
  adapter: string,
  repeats: number,
): Promise<ProfileReport> {
  const { plan } = executable.compiled;
  const { steps, reason } = await executable.time(inputs, repeats);
  return new ProfileReport(
    adapter,
    steps?.map(({ index, timeMs }) => stepProfile(plan, index, timeMs)),
    reason,
  );
}

function stepProfile(plan: Plan, index: number, timeMs: number): StepProfile {
  const step = plan.steps[index]!;
  const name = plan.stepName(index);
  if (step.kind === "copy") {
    const bytes = 2 * step.to.sizeBytes;
    return {
      step: index,
      name,
      operator: "copy",
      strategy: "copy",
      timeMs,
      flops: 0,
      bytes,
      gflops: 0,
      gigabytesPerSecond: rate(bytes, timeMs),
    };
  }
  const { operator, flops, bytes } = step;
  return {
    step: index,
    name,
    operator,
    strategy: strategyLabel(step),
    timeMs,
    flops,
    bytes,
    gflops: rate(flops, timeMs),
    gigabytesPerSecond: rate(bytes, timeMs),
  };
}

/** Billions a second. */
function rate(amount: number, timeMs: number): number {
  return timeMs > 0 ? amount / timeMs / 1e6 : 0;
}
