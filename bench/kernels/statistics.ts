// Numbers drawn from samples: medians, spreads, shares of a roofline, regret. Pure.

/** The value below which `share` of the samples lie, between neighbours in proportion. Undefined for none. */
export function quantile(samples: readonly number[], share: number): number | undefined {
  if (samples.length === 0) return undefined;
  const sorted = samples.toSorted((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low]! + (place - low) * (sorted[high]! - sorted[low]!);
}

export interface Spread {
  readonly medianMs: number;
  /** Half the distance between the quartiles, as a share of the median. */
  readonly spread: number;
  readonly samples: number;
}

export function spreadOf(samples: readonly number[]): Spread | undefined {
  const medianMs = quantile(samples, 0.5);
  if (medianMs === undefined) return undefined;
  const quartiles = quantile(samples, 0.75)! - quantile(samples, 0.25)!;
  return { medianMs, spread: medianMs > 0 ? quartiles / 2 / medianMs : 0, samples: samples.length };
}

/** What a roofline is drawn from. */
export interface Roof {
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
}

export interface RoofShare {
  /** Of the speed that the roof allows, 0 … 1; more where caches serve what the bytes count as memory. */
  readonly share: number;
  readonly bound: "arithmetic" | "memory";
}

/** How near a kernel comes to the least time that its operations and its fewest bytes need. */
export function shareOfRoof(flops: number, bytes: number, timeMs: number, roof: Roof): RoofShare {
  const arithmeticMs = flops / roof.gflops / 1e6;
  const memoryMs = bytes / roof.gigabytesPerSecond / 1e6;
  const bound = arithmeticMs > memoryMs ? "arithmetic" : "memory";
  return { share: Math.max(arithmeticMs, memoryMs) / timeMs, bound };
}

/** The geometric mean; NaN for none. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** What was chosen for a problem, beside the best that there is. */
export interface Choice {
  readonly problem: string;
  readonly bestMs: number;
  readonly chosenMs: number;
}

export interface Regret {
  /** Geometric mean of best / chosen: 1 where every choice was the best. */
  readonly quality: number;
  readonly problems: number;
  /** Share of the problems where the choice was within 5 % of the best. */
  readonly nearBest: number;
  /** The worst first. */
  readonly worst: readonly Choice[];
}

/** Choices that are named. */
const NAMED = 5;

export function regretOf(choices: readonly Choice[]): Regret {
  const qualities = choices.map(({ bestMs, chosenMs }) => Math.min(1, bestMs / chosenMs));
  return {
    quality: geometricMean(qualities),
    problems: choices.length,
    nearBest: qualities.filter((quality) => quality >= 0.95).length / choices.length,
    worst: choices.toSorted((a, b) => a.bestMs / a.chosenMs - b.bestMs / b.chosenMs).slice(0, NAMED),
  };
}
