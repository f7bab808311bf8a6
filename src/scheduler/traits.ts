// From measured ceilings to what the cost model works with. Kernels reach a share of each ceiling that depends on the kind of
// adapter more than on the adapter: the constant records say what they reach on one adapter of each kind, and a measured
// adapter is that one, faster or slower.

import type { AdapterTraits } from "./choose.ts";

/** The best an adapter does, as `engine.measure` found it. */
export interface Ceilings {
  /** Scalar multiply-adds with every operand in registers; each counts as two, GFLOP/s. */
  readonly gflops: number;
  /** vec4 loads a nanosecond that a cache serves, over the whole adapter. */
  readonly loadsPerNs: number;
  /** Copying by a shader: bytes read and bytes written, GB/s. */
  readonly gigabytesPerSecond: number;
  /** One barrier for one invocation, with the adapter full, ns. */
  readonly barrierNs: number;
  /** One invocation that does nothing, with the adapter full, ns. */
  readonly invocationNs: number;
  /** One more dispatch in a submit, ns. */
  readonly dispatchNs: number;
  /** A submit of one small dispatch until it is known to be done, ns. */
  readonly submitNs: number;
}

/** Ceilings of the adapter that the traits of software adapters were fitted on: SwiftShader on two cores. */
const SOFTWARE_CEILINGS: Ceilings = {
  gflops: 41,
  loadsPerNs: 0.28,
  gigabytesPerSecond: 3.2,
  barrierNs: 25,
  invocationNs: 12,
  dispatchNs: 18_000,
  submitNs: 95_000,
};

/** What a GPU with the traits of a hardware adapter would measure. */
const HARDWARE_CEILINGS: Ceilings = {
  gflops: 10_000,
  loadsPerNs: 1500,
  gigabytesPerSecond: 350,
  barrierNs: 0.002,
  invocationNs: 0.0001,
  dispatchNs: 3000,
  submitNs: 50_000,
};

/** The cost model's numbers for an adapter with these ceilings; `traits` are those of its kind. */
export function traitsOf(ceilings: Ceilings, traits: AdapterTraits, isSoftware: boolean): AdapterTraits {
  const usual = isSoftware ? SOFTWARE_CEILINGS : HARDWARE_CEILINGS;
  const scaled: Record<string, number> = {};
  for (const [name, usually] of Object.entries(usual) as [keyof Ceilings, number][]) {
    if (name === "submitNs") continue;
    scaled[name] = traits[name] * (ceilings[name] / usually) || traits[name];
  }
  return { ...traits, ...scaled };
}
