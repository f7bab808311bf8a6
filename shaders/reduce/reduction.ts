// What the strategies of ReduceSum, ReduceMean and ReduceMax share: which elements meet in one result, how two of them are
// combined, and a summation whose rounding error grows with the square root of the row instead of its length.

import { dtypes } from "../../src/core/dtype.ts";
import { sizeOf, stridesOf } from "../../src/core/shape.ts";
import { reduceMax, reduceMean, reduceSum } from "../../src/ops/reduce.ts";
import { reducedAxes, type ReduceAttributes } from "../../src/ops/reduction.ts";
import type { Operator } from "../../src/ops/operator.ts";
import { mergeRuns, runsIndex, type Run } from "../common/runs.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import type { KernelLimits, KernelProblem, Uniform } from "../strategy.ts";

export type ReduceProblem = KernelProblem<ReduceAttributes>;

/** One of the three operators: how elements are combined, and what becomes of the whole. */
export interface Reducer {
  readonly op: Operator<ReduceAttributes>;
  /** WGSL functions that `combine` calls. */
  readonly helpers: string;
  /** Combines two scalars, or two vectors lane by lane. */
  combine(a: string, b: string, width?: 1 | 4): string;
  /** True for sums: they start at 0, where a maximum starts at the row's first element. */
  readonly isSum: boolean;
  /** True if the total is multiplied by 1 / count. */
  readonly isMean: boolean;
}

// A maximum is NaN if any element is, as in the reference; WGSL's `max` may drop it, so the bits are looked at.
const LARGER = `
fn larger(a: f32, b: f32) -> f32 {
  let is_nan_a = (bitcast<u32>(a) << 1u) > 0xff000000u;
  let is_nan_b = (bitcast<u32>(b) << 1u) > 0xff000000u;
  return select(select(max(a, b), b, is_nan_b), a, is_nan_a);
}

fn larger_vec4(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  let is_nan_a = (bitcast<vec4<u32>>(a) << vec4<u32>(1u)) > vec4<u32>(0xff000000u);
  let is_nan_b = (bitcast<vec4<u32>>(b) << vec4<u32>(1u)) > vec4<u32>(0xff000000u);
  return select(select(max(a, b), b, is_nan_b), a, is_nan_a);
}`;

const addition = { helpers: "", combine: (a: string, b: string) => `${a} + ${b}`, isSum: true };

export const reducers: readonly Reducer[] = [
  { op: reduceSum, ...addition, isMean: false },
  { op: reduceMean, ...addition, isMean: true },
  {
    op: reduceMax,
    helpers: LARGER,
    combine: (a, b, width = 1) => `${width === 1 ? "larger" : "larger_vec4"}(${a}, ${b})`,
    isSum: false,
    isMean: false,
  },
];

export interface Reduction {
  /** Elements that meet in one result. */
  readonly count: number;
  readonly results: number;
  /** How the input is walked from result to result, and from element to element of one result. */
  readonly kept: readonly Run[];
  readonly reduced: readonly Run[];
}

export function reductionOf(problem: ReduceProblem): Reduction {
  const { shape } = problem.inputs[0]!;
  const gone = new Set(reducedAxes(problem.attributes, shape.length));
  const strides = stridesOf(shape);
  const walk = (wanted: boolean): Run[] =>
    shape.flatMap((extent, axis) => (gone.has(axis) === wanted ? [{ extent, stride: strides[axis]! }] : []));
  return {
    count: sizeOf(walk(true).map(({ extent }) => extent)),
    results: sizeOf(problem.outputs[0]!.shape),
    kept: mergeRuns(walk(false)),
    reduced: mergeRuns(walk(true)),
  };
}

/** WGSL type of the elements. */
export const elementType = (problem: ReduceProblem): string => dtypes[problem.inputs[0]!.dtype].wgsl;

/** Index expressions of the first element of result `index` and of element `r` within it. */
export function places(reduction: Reduction, uniforms: Record<string, Uniform>): { base: string; step: string } {
  return {
    base: runsIndex(reduction.kept, "kept", "index", uniforms),
    step: runsIndex(reduction.reduced, "row", "r", uniforms),
  };
}

/** Steps after which a partial sum is put away: √steps, so that neither it nor their total has many roundings. */
export const chunkOf = (steps: number): number => Math.max(1, Math.ceil(Math.sqrt(steps)));

/** `u.scale` of a mean. */
export function scaleOf(reducer: Reducer, { count }: Reduction): Record<string, Uniform> {
  return reducer.isMean ? { scale: { type: "f32", value: Math.fround(1 / count) } } : {};
}

/** A finished total as it is stored. */
export const finish = (reducer: Reducer, total: string): string => (reducer.isMean ? `${total} * u.scale` : total);

/** What every reduction asks of a problem. */
export function supportsReduction(
  reducer: Reducer,
  problem: ReduceProblem,
  limits: KernelLimits,
  workgroup: number,
  storageBytes = 0,
): true | string {
  return firstReason(
    reducer.isSum || reductionOf(problem).count > 0 || "the maximum of no elements",
    fitsBindings(limits, problem),
    fitsWorkgroup(limits, [workgroup], storageBytes),
  );
}

/** Every element read once and every result written once. */
export function reductionTraffic(problem: ReduceProblem): number {
  return 4 * (sizeOf(problem.inputs[0]!.shape) + sizeOf(problem.outputs[0]!.shape));
}
