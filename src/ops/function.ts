// Elementwise functions of one float operand, with what they have in common: names, and a gradient that is the result's
// times the slope.

import type { TensorType } from "../core/shape.ts";
import { mul } from "./binary.ts";
import { formulas, type Formulas } from "./formula.ts";
import type { Builder, Operand, Operator } from "./operator.ts";
import { definePointwise, monotone, type PointwiseDefinition } from "./pointwise.ts";

/** What a function's slope may be written with. */
interface SlopeContext<A> extends Formulas {
  readonly build: Builder;
  readonly x: Operand;
  /** The function's value at x. */
  readonly y: Operand;
  readonly attributes: A;
}

type Definition<A extends Operator["attributes"]> = Pick<PointwiseDefinition<A>, "name" | "attributes" | "cases"> &
  Partial<Pick<PointwiseDefinition<A>, "accepts" | "helpers" | "rounding" | "selects" | "flops">> & {
    /** WGSL expression of the value at `x`. */
    readonly wgsl: (x: string, attributes: A, type: TensorType) => string;
    readonly f: (x: number, attributes: A) => number;
    /** The largest |slope| within `error` of `x`, where the function is not monotone. */
    readonly steepness?: (x: number, error: number, attributes: A) => number;
    /** f's derivative; absent where the function is flat. */
    readonly slope?: (context: SlopeContext<A>) => Operand;
  };

/** Completes an elementwise function of one operand. */
/* @__NO_SIDE_EFFECTS__ */
export function defineFunction<A extends Operator["attributes"]>(definition: Definition<A>): Operator<A> {
  const { wgsl, f, steepness, slope, ...rest } = definition;
  return definePointwise<A>({
    flops: 4,
    ...rest,
    inputs: ["X"],
    wgsl: ([x], attributes, [type]) => wgsl(x!, attributes, type!),
    evaluate: ([x], attributes) => f(x!, attributes),
    propagate: ([x], [error], attributes) => {
      if (error === 0) return 0;
      return steepness
        ? steepness(x!, error!, attributes) * error!
        : monotone((value) => f(value, attributes))([x!], [error!]);
    },
    gradient: ({ build, attributes, inputs: [x], outputs: [y], outputGradients: [dy] }) => {
      if (!slope) return [undefined];
      return [build.apply(mul, [dy, slope({ ...formulas(build, x!), build, x: x!, y: y!, attributes })])];
    },
  });
}
