// What all kernels here have in common: an invocation an output element, in the output's order, so that stores are
// contiguous and loads nearly so.

import { sizeOf } from "../../src/core/shape.ts";
import type { Attributes } from "../../src/ops/operator.ts";
import { linearDispatch } from "../common/linear.ts";
import { fitsBindings } from "../common/workgroup.ts";
import type { KernelLimits, KernelProblem, Uniform } from "../strategy.ts";

export const WORKGROUP = 64;

const outputs = <A extends Attributes>(problem: KernelProblem<A>): number => sizeOf(problem.outputs[0]!.shape);

/** The parts of a strategy that follow from the number of output elements. */
export const perElement = {
  params: {},
  supports: (problem: KernelProblem, limits: KernelLimits): true | string => fitsBindings(limits, problem),
  dispatch: (problem: KernelProblem): [number, number, number] => linearDispatch(outputs(problem), WORKGROUP),
  trafficBytes: (problem: KernelProblem): number => 8 * outputs(problem),
};

/** `u.count`, the number of output elements. */
export const countOf = <A extends Attributes>(problem: KernelProblem<A>): Record<string, Uniform> => ({
  count: { type: "u32", value: outputs(problem) },
});

/** Uniforms of a list of u32 words. Negative numbers wrap: sums and products of indices do, too. */
export const words = (fields: Readonly<Record<string, number>>): Record<string, Uniform> =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, { type: "u32", value: value >>> 0 }]));
