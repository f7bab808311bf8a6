// What the strategies of the reductions share: which elements meet in one result, what is made of an element and how two
// are combined, and a summation whose rounding error grows with the square root of the row instead of its length.

import { dtypes, isFloat, type DType } from "../../src/core/dtype.ts";
import { sizeOf, stridesOf, type Shape } from "../../src/core/shape.ts";
import { extremeOfNothing, type reduceMax, type reduceMean, type reduceSum } from "../../src/ops/reduce.ts";
import type { reduceL1, reduceProd, reduceSumSquare } from "../../src/ops/reduceSums.ts";
import { reducedAxes, type ReduceAttributes } from "../../src/ops/reduction.ts";
import { mergeRuns, runsIndex, type Run } from "../common/runs.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { operatorNamed, type KernelLimits, type KernelProblem, type OperatorName, type Uniform } from "../strategy.ts";

export type ReduceProblem = KernelProblem<ReduceAttributes>;

/** One of the operators: what is made of an element, how two are combined, and what becomes of the whole. */
export interface Reducer {
  readonly op: OperatorName<ReduceAttributes>;
  /** WGSL functions that the others call. */
  readonly helpers?: string;
  /** What of an element (a scalar or, lane by lane, a vector) is combined. Default: itself. `x` is a name. */
  element?(x: string): string;
  /** Combines two scalars, or two vectors of four lane by lane. */
  combine(a: string, b: string, dtype: DType, lanes?: 1 | 4): string;
  /** What nothing reduces to, and what every result starts from: a WGSL scalar. */
  start(dtype: DType): string;
  /** True for sums, which put partial results away to round less. */
  readonly isSum: boolean;
  /** What is stored for the finished `total`. Default: itself. */
  finish?(total: string, dtype: DType): string;
}

// An extremum is NaN if any element is, as in the reference; WGSL's own may drop it, so the bits are looked at.
const extremum = (name: string, wgsl: string, type: string, bits: string): string => `
fn ${name}(a: ${type}, b: ${type}) -> ${type} {
  let is_nan_a = (bitcast<${bits}>(a) << ${bits}(1u)) > ${bits}(0xff000000u);
  let is_nan_b = (bitcast<${bits}>(b) << ${bits}(1u)) > ${bits}(0xff000000u);
  return select(select(${wgsl}(a, b), b, is_nan_b), a, is_nan_a);
}`;

// The parameter of a function is no constant expression, which could not be infinite.
const FROM_BITS = "fn number_from_bits(bits: u32) -> f32 { return bitcast<f32>(bits); }";

function extremumReducer(name: "ReduceMax" | "ReduceMin"): Reducer {
  const wgsl = name === "ReduceMax" ? "max" : "min";
  return {
    op: operatorNamed<typeof reduceMax>(name),
    helpers: FROM_BITS + extremum("better1", wgsl, "f32", "u32") + extremum("better4", wgsl, "vec4<f32>", "vec4<u32>"),
    combine: (a, b, dtype, lanes = 1) => `${isFloat(dtype) ? `better${lanes}` : wgsl}(${a}, ${b})`,
    start: (dtype) => {
      const value = extremeOfNothing(name, dtype);
      if (isFloat(dtype)) return `number_from_bits(${value < 0 ? "0xff800000u" : "0x7f800000u"})`;
      return `${dtypes[dtype].wgsl}(${value})`;
    },
    isSum: false,
  };
}

const zero = (dtype: DType): string => `${dtypes[dtype].wgsl}(0)`;
const sum = { combine: (a: string, b: string) => `${a} + ${b}`, start: zero, isSum: true };

export const reducers: readonly Reducer[] = [
  { op: operatorNamed<typeof reduceSum>("ReduceSum"), ...sum },
  {
    op: operatorNamed<typeof reduceMean>("ReduceMean"),
    ...sum,
    finish: (total, dtype) => `${total} / ${dtypes[dtype].wgsl}(u.count)`,
  },
  { op: operatorNamed<typeof reduceL1>("ReduceL1"), ...sum, element: (x) => `abs(${x})` },
  { op: operatorNamed<typeof reduceSumSquare>("ReduceSumSquare"), ...sum, element: (x) => `${x} * ${x}` },
  {
    op: operatorNamed<typeof reduceProd>("ReduceProd"),
    combine: (a, b) => `${a} * ${b}`,
    start: (dtype) => `${dtypes[dtype].wgsl}(1)`,
    isSum: false,
  },
  extremumReducer("ReduceMax"),
  extremumReducer("ReduceMin"),
];

export interface Reduction {
  /** Elements that meet in one result. */
  readonly count: number;
  readonly results: number;
  /** How the input is walked from result to result, and from element to element of one result. */
  readonly kept: readonly Run[];
  readonly reduced: readonly Run[];
}

/** How `axes` of a tensor of `shape` are reduced. */
export function reductionAlong(shape: Shape, axes: readonly number[]): Reduction {
  const strides = stridesOf(shape);
  const walk = (wanted: boolean): Run[] =>
    shape.flatMap((extent, axis) => (axes.includes(axis) === wanted ? [{ extent, stride: strides[axis]! }] : []));
  const size = (runs: readonly Run[]): number => sizeOf(runs.map(({ extent }) => extent));
  const [kept, reduced] = [walk(false), walk(true)];
  return { count: size(reduced), results: size(kept), kept: mergeRuns(kept), reduced: mergeRuns(reduced) };
}

export function reductionOf(problem: ReduceProblem): Reduction {
  const { shape } = problem.inputs[0]!;
  return reductionAlong(shape, reducedAxes(problem.attributes, shape.length));
}

/** Index expressions of the first element of result `index` and of element `r` within it. */
export function places(reduction: Reduction, uniforms: Record<string, Uniform>): { base: string; step: string } {
  return {
    base: runsIndex(reduction.kept, "kept", "index", uniforms),
    step: runsIndex(reduction.reduced, "row", "r", uniforms),
  };
}

/** What a thread reads at a time: an element, four neighbours of its row, or one of each of four neighbouring rows. */
type Reading = "scalar" | "along" | "across";

/**
 * The rows in units of what a thread reads: with `along` a row has a quarter of the steps,
 * with `across` there are a quarter of the rows.
 */
export function quadsOf(rows: Reduction): { readonly rows: Reduction; readonly reading: Reading } {
  const quarter = (runs: readonly Run[]): Run[] | undefined => {
    const last = runs.at(-1);
    if (last?.stride !== 1 || last.extent % 4 !== 0 || last.extent === 0) return undefined;
    return [...runs.slice(0, -1).map(inQuads), { extent: last.extent / 4, stride: 1 }];
  };
  const inQuads = ({ extent, stride }: Run): Run => ({ extent, stride: stride / 4 });
  const along = quarter(rows.reduced);
  if (along)
    return {
      reading: "along",
      rows: { count: rows.count / 4, results: rows.results, reduced: along, kept: rows.kept.map(inQuads) },
    };
  const across = quarter(rows.kept);
  if (across)
    return {
      reading: "across",
      rows: { count: rows.count, results: rows.results / 4, kept: across, reduced: rows.reduced.map(inQuads) },
    };
  return { reading: "scalar", rows };
}

/** Steps after which a partial sum is put away: √steps, so that neither it nor their total has many roundings. */
export const chunkOf = (steps: number): number => Math.max(1, Math.ceil(Math.sqrt(steps)));

/** `results`, `count` and `chunk` as data, and the extents and strides of the walk. */
export function reductionUniforms(reduction: Reduction, chunk: number): Record<string, Uniform> {
  const uniforms: Record<string, Uniform> = {
    results: { type: "u32", value: reduction.results },
    count: { type: "u32", value: reduction.count },
    chunk: { type: "u32", value: chunk },
  };
  places(reduction, uniforms);
  return uniforms;
}

/**
 * WGSL that folds steps `first`, `first + stride` … below `u.count` of a row into `var total`. `load`
 * reads step `r`.
 */
export function foldLoop(
  reducer: Reducer,
  dtype: DType,
  { type, load, first, stride, end }: Record<"type" | "load" | "first" | "stride" | "end", string>,
): string {
  const isVector = type.startsWith("vec");
  const value = reducer.element?.("x") ?? "x";
  const start = isVector ? `${type}(${reducer.start(dtype)})` : reducer.start(dtype);
  const steps = (into: string, from: string, to: string): string => `
    for (var r = ${from}; r < ${to}; r += ${stride}) {
      let x = ${load};
      let y = ${value};
      ${into} = ${reducer.combine(into, "y", dtype, isVector ? 4 : 1)};
    }`;
  if (!reducer.isSum) return `var total = ${start};${steps("total", first, end)}`;
  return `var total = ${start};
  for (var start = ${first}; start < ${end}; start += u.chunk) {
    let end = min(start + u.chunk, ${end});
    var partial = ${start};${steps("partial", "start", "end")}
    total += partial;
  }`;
}

/** A finished total as it is stored. */
export const finish = (reducer: Reducer, total: string, dtype: DType): string =>
  reducer.finish?.(total, dtype) ?? total;

/** What every reduction asks of a problem. */
export function supportsReduction(
  problem: ReduceProblem,
  limits: KernelLimits,
  workgroup: number,
  storageBytes = 0,
): true | string {
  return firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup], storageBytes));
}

/** Every element read once and every result written once. */
export function reductionTraffic(problem: ReduceProblem): number {
  return 4 * (sizeOf(problem.inputs[0]!.shape) + sizeOf(problem.outputs[0]!.shape));
}
