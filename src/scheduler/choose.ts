// Picks a strategy and its parameters for one kernel: the one forced by name, else the cheapest by a cost model. The
// model is a roofline with three ceilings of the adapter (arithmetic, memory, barriers) and the fact that an adapter
// needs many invocations to be busy. It ranks; it does not predict to the millisecond.

import { UnsupportedError, UsageError } from "../core/errors.ts";
import type { Operator, Problem } from "../ops/operator.ts";
import { assemble, type AssembledKernel } from "../../shaders/assemble.ts";
import {
  parameterSets,
  type AnyRewrite,
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
  /** Invocations that run in step. */
  readonly simdWidth: number;
  /** Sums an invocation can keep at no cost. */
  readonly registers: number;
  /** Cost of one more dispatch in a submit, ns. */
  readonly dispatchNs: number;
  /** Runs that compiling is spread over: who loads a model to run it once should not wait for its kernels most. */
  readonly expectedRuns: number;
  /** Cost of compiling a kernel, ns a character of WGSL … */
  readonly compileNsPerCharacter: number;
  /** … and a 32-bit word of workgroup memory: some compilers write out a store of zero for each. */
  readonly compileNsPerWorkgroupWord: number;
}

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
  simdWidth: 4,
  registers: 64,
  dispatchNs: 18_000,
  expectedRuns: 30,
  compileNsPerCharacter: 25_000,
  // Chromium has SwiftShader clear workgroup memory, word by word; Dawn in Node does it in a loop of its own.
  compileNsPerWorkgroupWord: "navigator" in globalThis && !("process" in globalThis) ? 400_000 : 0,
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
  simdWidth: 32,
  registers: 128,
  dispatchNs: 3000,
  expectedRuns: 300, // what is fast is run more often
  compileNsPerCharacter: 1000,
  compileNsPerWorkgroupWord: 0,
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

/** What has been measured on the adapter at hand; a TuningTable is one. `isConstant` tells which operands are constants. */
export interface Tuning {
  /** The kernel that won for the problem, alone and with its parameters settled; else all that may be used here. */
  kernels(
    operator: Operator,
    problem: KernelProblem,
    isConstant: readonly boolean[],
    strategies: readonly AnyStrategy[],
  ): readonly AnyStrategy[];
  /** Likewise; `isSettled` where measurements decide between rewriting and not, and none is left where a kernel won. */
  rewrites(
    operator: Operator,
    problem: Problem,
    isConstant: readonly boolean[],
    rewrites: readonly AnyRewrite[],
  ): { readonly rewrites: readonly AnyRewrite[]; readonly isSettled: boolean };
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
  const reasons = new Map<string, string>();
  // Writing kernels out takes most of the time there is: those that cannot win are not.
  let best: Candidate | undefined;
  for (const { strategy, params, leastMs } of boundsOf(operator, problem, considered, { limits, traits }, reasons)) {
    if (best && leastMs >= best.estimatedMs) break;
    const kernel = assemble(operator, strategy, problem, params);
    const compileNs = isKnown(kernel.wgsl) ? 0 : compilationNs(kernel.wgsl, traits);
    const runMs = estimateMs(operator, strategy, problem, params, workgroupSize(kernel.wgsl), traits);
    const estimatedMs = runMs + (compileNs * 1e-6) / traits.expectedRuns;
    if (!best || estimatedMs < best.estimatedMs) best = { strategy, params, kernel, estimatedMs };
  }
  if (best) return best;
  const why = [...reasons].map(([name, reason]) => `${name}: ${reason}`).join("; ");
  throw new UnsupportedError(`${operator.name}: no strategy can run this here (${why})`);
}

interface Bound {
  readonly strategy: AnyStrategy;
  readonly params: Parameters;
  /** The candidate's estimate is this or more. */
  readonly leastMs: number;
}

/** Candidates that are supported, with the least that each may take, least first. */
export function boundsOf(
  operator: Operator,
  problem: KernelProblem,
  strategies: readonly AnyStrategy[],
  { limits, traits }: Pick<ChoiceContext, "limits" | "traits">,
  reasons = new Map<string, string>(),
): readonly Bound[] {
  const bounds: Bound[] = [];
  for (const strategy of strategies)
    for (const params of parameterSets(strategy)) {
      const answer = supports(strategy, problem, limits, params);
      if (answer === true)
        bounds.push({
          strategy,
          params,
          leastMs: estimateMs(operator, strategy, problem, params, undefined, traits),
        });
      else if (!reasons.has(strategy.name)) reasons.set(strategy.name, answer);
    }
  return bounds.sort((a, b) => a.leastMs - b.leastMs);
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

/** Without `groupSize`, the invocations a workgroup, which are known when the kernel is written: the least it may be. */
function estimateMs(
  operator: Operator,
  strategy: AnyStrategy,
  problem: KernelProblem,
  params: Parameters,
  groupSize: number | undefined,
  traits: AdapterTraits,
): number {
  const flops = operator.flops(problem);
  const workgroups = strategy.dispatch(problem, params).reduce((product, count) => product * count, 1);
  const invocations = workgroups * (groupSize ?? 1);
  const busy = strategy.busyInvocations?.(problem, params) ?? (groupSize ? invocations : Infinity);
  const utilization = Math.min(1, busy / traits.saturatingInvocations, workgroups / traits.saturatingWorkgroups);
  // Invocations run in step, a few or many at once: those with nothing to do beside one that has cost as much as it.
  const inStep = groupSize ? Math.max(1, Math.min(traits.simdWidth, invocations / busy)) : 1;
  const spilled = Math.sqrt(Math.max(1, (strategy.accumulators?.(params) ?? 0) / traits.registers));
  const arithmeticNs = flops / traits.gflops;
  const loadsNs = flops / 2 / (strategy.intensity?.(problem, params) ?? 0.5) / traits.loadsPerNs;
  const memoryNs = strategy.trafficBytes(problem, params) / traits.gigabytesPerSecond;
  const barriersNs = (strategy.barriers?.(problem, params) ?? 0) * traits.barrierNs;
  const startNs = invocations * traits.invocationNs;
  const computingNs = ((arithmeticNs + loadsNs) * inStep * spilled) / utilization;
  // A quarter of what keeps the arithmetic busy keeps memory busy.
  return (computingNs + memoryNs / Math.min(1, 4 * utilization) + barriersNs + startNs) * 1e-6;
}

function compilationNs(wgsl: string, traits: AdapterTraits): number {
  let ns = wgsl.length * traits.compileNsPerCharacter;
  if (traits.compileNsPerWorkgroupWord > 0)
    for (const [, type] of wgsl.matchAll(/var<workgroup> \w+: ([^;]*);/g))
      ns += wordsOf(type!, wgsl) * traits.compileNsPerWorkgroupWord;
  return ns;
}

/** 32-bit words of `array<vec4<f32>, 80>`; sums and constants of the kernel may stand for numbers. */
function wordsOf(type: string, wgsl: string): number {
  const factors = type.match(/(?<=vec)\d|(?<=, )[^,>]+/g) ?? [];
  return factors
    .map((factor) => factor.split("+").reduce((sum, term) => sum + numberOf(term, wgsl), 0))
    .reduce((product, factor) => product * factor, 1);
}

/** Invocations a workgroup, read off the kernel's own text. */
function workgroupSize(wgsl: string): number {
  const match = /@workgroup_size\(\s*([^)]*)\)/.exec(wgsl);
  return (match?.[1] ?? "1").split(",").reduce((product, part) => product * numberOf(part, wgsl), 1);
}

/** What a number, or the name of a constant in a kernel's text, stands for; 1 if it is neither. */
function numberOf(term: string, wgsl: string): number {
  const value = (text = ""): number => Number.parseInt(text, 10);
  return (
    value(term) || value(new RegExp(`const ${/[A-Za-z_]\w*/.exec(term)?.[0] ?? "$"} = (\\d+)`).exec(wgsl)?.[1]) || 1
  );
}
