// Values for the cases of operators: the same on every machine and in every run, and all of them float32.

import { dtypes, isFloat, storeValue, type DType } from "../../src/core/dtype.ts";
import { Random } from "../../src/core/random.ts";
import { sizeOf, type Shape, type TensorType } from "../../src/core/shape.ts";
import type { TensorData } from "../../src/core/tensorData.ts";
import type { Attributes, CaseInput, Operator, OperatorCase, Problem } from "../../src/ops/operator.ts";

/** One case, ready to run. */
export interface CaseData<A extends Attributes = Attributes> {
  readonly inputs: readonly (TensorData | undefined)[];
  readonly problem: Problem<A>;
  /** `Conv case 3: [1, 2, 5, 5], [3, 2, 3, 3] {"group":1} (why)`, for test names and messages. */
  readonly title: string;
}

interface CaseRange {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly low: number;
  readonly high: number;
}

const DEFAULT_RANGES: Readonly<Record<DType, readonly [number, number]>> = {
  float32: [-1, 1],
  float16: [-1, 1],
  float64: [-1, 1],
  int8: [-8, 8],
  uint8: [0, 16],
  int16: [-8, 8],
  uint16: [0, 16],
  int32: [-8, 8],
  uint32: [0, 16],
  int64: [-8, 8],
  uint64: [0, 16],
  bool: [0, 2],
};

/** A case's input in full. */
export function caseRange(input: CaseInput): CaseRange {
  const given = "shape" in input ? input : { shape: input };
  const dtype = given.dtype ?? "float32";
  const [low, high] = DEFAULT_RANGES[dtype];
  return { shape: given.shape, dtype, low: given.low ?? low, high: given.high ?? high };
}

/** A seed of its own for every case: FNV-1a of the operator's name and the case's number. */
export function caseSeed(name: string, caseIndex: number): number {
  let hash = 0x811c9dc5;
  for (const character of `${name}#${caseIndex}`) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return hash >>> 0;
}

/** Attributes of a case, the operator's defaults included. */
export function caseAttributes<A extends Attributes>(operator: Operator<A>, { attributes }: OperatorCase<A>): A {
  return { ...operator.attributes, ...attributes };
}

/** The types of a case, without values. */
export function caseProblem<A extends Attributes>(operator: Operator<A>, operatorCase: OperatorCase<A>): Problem<A> {
  const attributes = caseAttributes(operator, operatorCase);
  const inputs = operatorCase.inputs.map((input): TensorType | undefined => {
    if (!input) return undefined;
    const { shape, dtype } = caseRange(input);
    return { shape, dtype };
  });
  return { inputs, outputs: operator.infer(inputs, attributes), attributes };
}

/** How values of a case are drawn. */
export interface ValueOptions {
  /**
   * Float values are all different, by at least (high - low) / count across all inputs of one range, and at least half of
   * that away from 0 when the range is symmetric: no operator has a kink within reach of a small step.
   */
  readonly distinct?: boolean;
}

/** Inputs of case `caseIndex` of `operator`. */
export function caseData<A extends Attributes>(
  operator: Operator<A>,
  caseIndex: number,
  { distinct = false }: ValueOptions = {},
): CaseData<A> {
  const operatorCase = operator.cases[caseIndex]!;
  const problem = caseProblem(operator, operatorCase);
  const seed = caseSeed(operator.name, caseIndex);
  const ranges = operatorCase.inputs.map((input) => input && caseRange(input));
  const pools = distinct ? distinctPools(ranges, seed) : undefined;
  const inputs = ranges.map((range, i) => {
    if (!range) return undefined;
    const draw = pools && isFloat(range.dtype) ? pools.get(poolKey(range))! : uniformDraw(range, seed, i);
    const data = dtypes[range.dtype].create(sizeOf(range.shape));
    for (let at = 0; at < data.length; at++) data[at] = storeValue(draw(), range.dtype, operator.name);
    return { dtype: range.dtype, shape: range.shape, data };
  });
  const shapes = problem.inputs.map((type) => (type ? `[${type.shape.join(", ")}]` : "absent")).join(", ");
  const attributes = operatorCase.attributes ? ` ${JSON.stringify(operatorCase.attributes)}` : "";
  const why = operatorCase.why === undefined ? "" : ` (${operatorCase.why})`;
  return { inputs, problem, title: `${operator.name} case ${caseIndex}: ${shapes}${attributes}${why}` };
}

function uniformDraw({ dtype, low, high }: CaseRange, seed: number, stream: number): () => number {
  const random = new Random(seed, stream);
  // Scaling may round up to `high`, which is outside.
  const float = (): number => Math.min(low + (high - low) * random.uniform(), high - (high - low) * 2 ** -23);
  return isFloat(dtype) ? float : () => low + random.integer(high - low);
}

const poolKey = ({ low, high }: CaseRange): string => `${low} ${high}`;

/** For every range of floats a shuffled grid with a point for each element of the inputs that share it. */
function distinctPools(ranges: readonly (CaseRange | undefined)[], seed: number): Map<string, () => number> {
  const counts = new Map<string, { low: number; high: number; count: number }>();
  for (const range of ranges) {
    if (!range || !isFloat(range.dtype)) continue;
    const { low, high } = range;
    const count = counts.get(poolKey(range))?.count ?? 0;
    counts.set(poolKey(range), { low, high, count: count + sizeOf(range.shape) });
  }
  const pools = new Map<string, () => number>();
  for (const [key, { low, high, count }] of counts) {
    const places = 2 * Math.ceil(count / 2); // even, so that no place is the middle
    const order = new Random(seed, pools.size).permutation(places);
    let next = 0;
    pools.set(key, () => low + ((order[next++]! + 0.5) * (high - low)) / places);
  }
  return pools;
}
