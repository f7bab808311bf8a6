// What ScatterElements and ScatterND share. Where several updates meet they are combined in the order they are given in, and
// without a reduction the last one stays: kernels ask of every result which updates go there, so that nothing is written
// concurrently and the same inputs give the same bits.

import { UsageError } from "../core/errors.ts";
import type { Shape, TensorType } from "../core/shape.ts";
import { filled } from "../core/tensorData.ts";
import { div, equal, mul } from "./binary.ts";
import { requireDType, requireInputs, requireSameDType } from "./check.ts";
import { expandTo } from "./expand.ts";
import { INDEX_TYPES, zeros } from "./indexing.ts";
import { productIn, sumIn } from "./integers.ts";
import {
  summationBound,
  type GradientContext,
  type Operand,
  type OperatorCase,
  type ReferenceInput,
  type ReferenceOutput,
} from "./operator.ts";
import { where } from "./where.ts";

/** How an update meets what is there; `none` replaces it. */
const REDUCTIONS = ["none", "add", "mul", "max", "min"];

export type ScatterAttributes = {
  /** `none`, `add`, `mul`, `max` or `min`. */
  readonly reduction: string;
};

/** Names of a scattering operator's inputs. */
export const SCATTER_INPUTS = ["data", "indices", "updates"];

/** The checks both operators begin with. */
export function scatterInputs(
  who: string,
  inputs: readonly (TensorType | undefined)[],
  reduction: string,
): readonly [data: Shape, indices: Shape, updates: Shape] {
  const [data, indices, updates] = requireInputs(who, SCATTER_INPUTS, inputs);
  requireDType(who, "indices", indices!, INDEX_TYPES);
  requireSameDType(who, [data!, updates!]);
  if (!REDUCTIONS.includes(reduction))
    throw new UsageError(`${who}: reduction must be ${REDUCTIONS.join(", ")}, got ${reduction}`);
  if (reduction === "add" || reduction === "mul") requireDType(who, "data", data!, "number");
  return [data!.shape, indices!.shape, updates!.shape];
}

/** A copy of data that updates are combined into, one by one. */
export function accumulator(
  data: ReferenceInput,
  reduction: string,
): { output: ReferenceOutput; update: (place: number, value: number) => void } {
  const values = Float64Array.from(data.data);
  // Selections are exact. Sums err in proportion to their terms, products to themselves.
  const isSum = reduction === "add";
  const terms = isSum ? values.map(Math.abs) : new Float64Array(values.length);
  const update = (place: number, value: number): void => {
    const old = values[place]!;
    switch (reduction) {
      case "add":
        values[place] = sumIn(data.dtype, old, value);
        terms[place]! += Math.abs(value);
        break;
      case "mul":
        values[place] = productIn(data.dtype, old, value);
        terms[place] = Math.abs(values[place]);
        break;
      case "max":
        values[place] = Math.max(old, value);
        break;
      case "min":
        values[place] = Math.min(old, value);
        break;
      default:
        values[place] = value;
    }
  };
  return { output: { values, terms }, update };
}

/** k of results that up to `count` updates meet in: a sum's roundings wander, a product's add up. */
export const boundOfUpdates = (reduction: string, count: number): number =>
  reduction === "mul" ? count : summationBound(count);

/** Each reduction once, on the last of `cases`. */
/* @__NO_SIDE_EFFECTS__ */
export function withReductions<A extends ScatterAttributes>(
  cases: readonly OperatorCase<A>[],
  repeated: OperatorCase<A>,
): OperatorCase<A>[] {
  const reduced = REDUCTIONS.map((reduction) => ({
    ...repeated,
    attributes: { ...repeated.attributes, reduction } as Partial<A>,
    why: "several updates of one place",
  }));
  return [...cases, ...reduced];
}

/** A scattering operator and the gathering one that reads what it writes, for one application of the former. */
interface Scattering {
  readonly gathered: (from: Operand) => Operand;
  readonly scattered: (over: Operand, updates: Operand, reduction: string) => Operand;
  /** int32, of a shape that broadcasts to the updates': larger for what is written later. */
  readonly order: Operand;
}

/**
 * Gradients of a scattering operator by its data and its updates. Without a reduction an element's gradient goes to the
 * update that was written last; that of a maximum or minimum is shared by all that are equal to it. A product's goes to
 * each update as the quotient of the product by it, so that none may be 0.
 */
export function scatterGradient<A extends ScatterAttributes>(
  { build, attributes: { reduction }, inputs, outputs: [y], outputGradients: [gradient] }: GradientContext<A>,
  { gathered, scattered, order }: Scattering,
): (Operand | undefined)[] {
  const [data, , updates] = inputs as readonly Operand[];
  const [zero, one] = [0, 1].map((value) => build.constant(filled(value, [], data!.dtype)));
  const marked = (condition: Operand, value = one): Operand => build.apply(where, [condition, value, zero]);
  switch (reduction) {
    case "add":
      return [gradient, undefined, gathered(gradient!)];
    case "mul": {
      const product = gathered(build.apply(mul, [gradient, y]));
      return [scattered(gradient!, updates!, "mul"), undefined, build.apply(div, [product, updates])];
    }
    case "max":
    case "min": {
      const isKept = build.apply(equal, [data, y]);
      const isTaken = build.apply(equal, [updates, gathered(y!)]);
      const share = build.apply(div, [gradient, scattered(marked(isKept), marked(isTaken), "add")]);
      return [marked(isKept, share), undefined, marked(isTaken, gathered(share))];
    }
    default: {
      const orders = expandTo(build, order, updates!.shape);
      const last = scattered(zeros(build, { dtype: order.dtype, shape: data!.shape }), orders, "none");
      const isLast = build.apply(equal, [gathered(last), orders]);
      return [scattered(gradient!, zeros(build, updates!), "none"), undefined, marked(isLast, gathered(gradient!))];
    }
  }
}
