// Picks a strategy and its parameters for one kernel: the one forced by name, else the cheapest by a cost model. The
// model is a roofline with three ceilings of the adapter (arithmetic, memory, barriers) and the fact that an adapter
// needs many invocations to be busy. It ranks; it does not predict to the millisecond.

import { UnsupportedError, UsageError } from "../core/errors.ts";
import type { Operator } from "../ops/operator.ts";
import { assemble, type AssembledKernel } from "../../shaders/assemble.ts";
import {
  parameterSets,
  type AnyStrategy,
  type KernelLimits,
  type KernelProblem,
  type Parameters,
} from "../../shaders/strategy.ts";

/** What the cost model knows of an adapter. */
export interface AdapterTraits {
  /** Arithmetic with every operand in registers, GFLOP/s. */
  readonly gflops: number;
  /** Loads a nanosecond, scalar or vector: caches serve most of them. */
  readonly loadsPerNs: number;
  /** Memory bandwidth, GB/s. */
  readonly gigabytesPerSecond: number;
  /** Cost of one barrier for one invocation, ns. */
  readonly barrierNs: number;
  /** Cost of starting one invocation, ns. */
  readonly invocationNs: number;
  /** Invocations that keep the adapter busy … */
  readonly saturatingInvocations: number;
  /** … and workgroups: each runs on one core. */
  readonly saturatingWorkgroups: number;
  /** Cost of compiling a kernel, ns a character of WGSL. */
  readonly compileNsPerCharacter: number;
}

/** Runs that a kernel's compilation is spread over: who loads a model to run it once should not wait for its kernels most. */
const AMORTIZED_RUNS = 30;

/**
 * A CPU that emulates a GPU on two cores. Fitted to matrix products by SwiftShader, where a multiply-add costs
 * 1.2 + 9.7 / intensity ns of processor time and a barrier some 250 (invocations are fibres, and a barrier switches them).
 */
export const SOFTWARE_TRAITS: AdapterTraits = {
  gflops: 3.3,
  loadsPerNs: 0.2,
  gigabytesPerSecond: 8,
  barrierNs: 125,
  invocationNs: 20,
  saturatingInvocations: 16,
  saturatingWorkgroups: 2,
  compileNsPerCharacter: 40_000,
};

/** A mid-range discrete GPU. */
export const HARDWARE_TRAITS: AdapterTraits = {
  gflops: 8000,
  loadsPerNs: 1500,
  gigabytesPerSecond: 300,
  barrierNs: 0.002,
  invocationNs: 0.0001,
  saturatingInvocations: 16384,
  saturatingWorkgroups: 32,
  compileNsPerCharacter: 1000,
};

export interface Candidate {
  readonly strategy: AnyStrategy;
  readonly params: Parameters;
  readonly kernel: AssembledKernel;
  readonly estimatedMs: number;
}

export interface ChoiceContext {
  readonly limits: KernelLimits;
  readonly traits: AdapterTraits;
  /** Strategy forced for this node or operator, if any. */
  readonly forced: string | undefined;
  /** The plan has a kernel of this text already: it is not compiled again. */
  readonly isKnown: (wgsl: string) => boolean;
}

/** The cheapest supported strategy. Throws with every strategy's reason when none fits, or when the forced one can't. */
export function chooseStrategy(
  operator: Operator,
  problem: KernelProblem,
  strategies: readonly AnyStrategy[],
  { limits, traits, forced, isKnown }: ChoiceContext,
): Candidate {
  const considered = forced === undefined ? strategies : strategies.filter(({ name }) => name === forced);
  if (considered.length === 0)
    throw new UsageError(
      `${operator.name} has no strategy "${forced}"; it has ${strategies.map(({ name }) => name).join(", ")}`,
    );
  let best: Candidate | undefined;
  const reasons = new Map<string, string>();
  for (const strategy of considered)
    for (const params of parameterSets(strategy)) {
      const answer = supports(strategy, problem, limits, params);
      if (answer !== true) {
        if (!reasons.has(strategy.name)) reasons.set(strategy.name, answer);
        continue;
      }
      const kernel = assemble(operator, strategy, problem, params);
      const compileNs = isKnown(kernel.wgsl) ? 0 : kernel.wgsl.length * traits.compileNsPerCharacter;
      const runMs = estimateMs(operator, strategy, problem, params, kernel, traits);
      const estimatedMs = runMs + (compileNs * 1e-6) / AMORTIZED_RUNS;
      if (!best || estimatedMs < best.estimatedMs) best = { strategy, params, kernel, estimatedMs };
    }
  if (best) return best;
  const why = [...reasons].map(([name, reason]) => `${name}: ${reason}`).join("; ");
  throw new UnsupportedError(`${operator.name}: no strategy can run this here (${why})`);
}

function supports(
  strategy: AnyStrategy,
  problem: KernelProblem,
  limits: KernelLimits,
  params: Parameters,
): true | string {
  const answer = strategy.supports(problem, limits, params);
  if (answer !== true) return answer;
  const groups = strategy.dispatch(problem, params);
  const tooMany = groups.some((count) => count > limits.maxComputeWorkgroupsPerDimension);
  return tooMany
    ? `${groups.join("×")} workgroups exceed ${limits.maxComputeWorkgroupsPerDimension} in a dimension`
    : true;
}

function estimateMs(
  operator: Operator,
  strategy: AnyStrategy,
  problem: KernelProblem,
  params: Parameters,
  kernel: AssembledKernel,
  traits: AdapterTraits,
): number {
  const flops = operator.flops(problem);
  const workgroups = kernel.workgroups.reduce((product, count) => product * count, 1);
  const invocations = workgroups * workgroupSize(kernel.wgsl);
  const busy = strategy.busyInvocations?.(problem, params) ?? invocations;
  const utilization = Math.min(1, busy / traits.saturatingInvocations, workgroups / traits.saturatingWorkgroups);
  const arithmeticNs = flops / traits.gflops;
  const loadsNs = flops / 2 / (strategy.intensity?.(problem, params) ?? 0.5) / traits.loadsPerNs;
  const memoryNs = strategy.trafficBytes(problem, params) / traits.gigabytesPerSecond;
  const barriersNs = (strategy.barriers?.(problem, params) ?? 0) * traits.barrierNs;
  const startNs = invocations * traits.invocationNs;
  return ((arithmeticNs + loadsNs) / utilization + memoryNs + barriersNs + startNs) * 1e-6;
}

/** Invocations a workgroup, read off the kernel's own text. */
function workgroupSize(wgsl: string): number {
  const match = /@workgroup_size\(\s*([^)]*)\)/.exec(wgsl);
  return (match?.[1] ?? "1").split(",").reduce((product, part) => product * (Number.parseInt(part, 10) || 1), 1);
}
