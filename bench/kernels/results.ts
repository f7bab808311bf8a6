// What the bench finds, as plain data: the adapter, its ceilings, and a line for every way to run every problem. This is
// what `--json` writes, and all that the report and the console are made from.

import type { Ceilings } from "../../src/scheduler/traits.ts";
import type { Regret, Spread } from "./statistics.ts";

/** Counts up when a field changes its meaning. */
export const RESULTS_VERSION = 1;

/** The ceilings that the cost model goes by, and those that only people ask for. */
export interface BenchCeilings extends Ceilings {
  /** Multiply-adds on vec4 accumulators, GFLOP/s. */
  readonly vectorGflops: number;
  /** copyBufferToBuffer: bytes read and bytes written, GB/s. */
  readonly bufferCopyGigabytesPerSecond: number;
}

/** One way to run a problem. */
export interface Line {
  /** `registerTile`, or the name of a rewrite. */
  readonly strategy: string;
  /** `rows=4 columns=8`; empty where there are none. */
  readonly parameters: string;
  /** What a plan that is not tuned takes. */
  readonly isChosen: boolean;
  readonly dispatches: number;
  /** Bytes it says it moves. */
  readonly trafficBytes: number;
  readonly timing?: Spread;
  /** Processor time a run; what a software adapter costs however busy the machine is. */
  readonly cpuMs?: number;
  /** Largest error as a share of the bound of its element; right up to 1. */
  readonly errorOverBound?: number;
  /** max |y - reference| / max |reference| */
  readonly error?: number;
  /** Why there is no time, or what is wrong. */
  readonly failure?: string;
}

export interface ProblemResult {
  readonly family: string;
  readonly operator: string;
  readonly name: string;
  readonly flops: number;
  /** Fewest bytes that must move. */
  readonly bytes: number;
  readonly lines: readonly Line[];
}

export interface HostCost {
  readonly dispatches: number;
  /** Host time to encode and submit a run of all of them … */
  readonly runUs: number;
  /** … and of a run of one. */
  readonly oneUs: number;
  /** One dispatch more. */
  readonly dispatchUs: number;
  /** GPU objects made while replaying. */
  readonly objectsCreated: number;
}

export interface BenchResults {
  readonly format: "neurite-bench";
  readonly version: typeof RESULTS_VERSION;
  readonly date: string;
  /** `Node 20.19 linux`, or a browser's. */
  readonly host: string;
  readonly adapter: {
    readonly name: string;
    readonly vendor: string;
    readonly architecture: string;
    readonly isSoftware: boolean;
    readonly features: readonly string[];
  };
  readonly ceilings: BenchCeilings;
  readonly hostCost?: HostCost;
  readonly problems: readonly ProblemResult[];
  /** By family: untuned, and tuned where it was asked for. */
  readonly regret?: Readonly<Record<string, { readonly untuned: Regret; readonly tuned?: Regret }>>;
}

/** Reads what `--json` wrote. Throws on anything else. */
export function parseResults(text: string): BenchResults {
  const results = JSON.parse(text) as Partial<BenchResults>;
  if (results.format !== "neurite-bench") throw new Error("these are no results of the bench");
  if (results.version !== RESULTS_VERSION)
    throw new Error(`results of version ${String(results.version)}; this bench reads version ${RESULTS_VERSION}`);
  return results as BenchResults;
}

/** `registerTile rows=4 columns=8` */
export const labelOf = ({ strategy, parameters }: Pick<Line, "strategy" | "parameters">): string =>
  parameters === "" ? strategy : `${strategy} ${parameters}`;

/** The fastest first; those without a time last. */
export const ranked = (lines: readonly Line[]): Line[] =>
  lines.toSorted((a, b) => (a.timing?.medianMs ?? Infinity) - (b.timing?.medianMs ?? Infinity));
