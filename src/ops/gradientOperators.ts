// What gradient rules apply that the operators they belong to do not otherwise need. A rule takes it from its context, and
// only autodiff imports this file: so a page that only infers loads a convolution without its two gradients.

import { convTranspose, convWeightGradient } from "./convBack.ts";
import type { ConvTransposeAttributes, ConvWeightGradientAttributes } from "./convGeometry.ts";
import { expandTo, sumTo } from "./expand.ts";
import type { MaxPoolAttributes } from "./maxPool.ts";
import { maxPoolGradient } from "./maxPoolGradient.ts";
import type { Operator } from "./operator.ts";
import type { NoAttributes } from "./pointwise.ts";
import { where } from "./where.ts";

export interface GradientOperators {
  readonly convTranspose: Operator<ConvTransposeAttributes>;
  readonly convWeightGradient: Operator<ConvWeightGradientAttributes>;
  readonly expandTo: typeof expandTo;
  readonly maxPoolGradient: Operator<MaxPoolAttributes>;
  readonly sumTo: typeof sumTo;
  readonly where: Operator<NoAttributes>;
}

export const gradientOperators: GradientOperators = {
  convTranspose,
  convWeightGradient,
  expandTo,
  maxPoolGradient,
  sumTo,
  where,
};
