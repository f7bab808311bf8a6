// What the strategies of Standardization share: a row is what belongs together, along any axes, and is read three times:
// for the mean, for the variance, for the results.

import { normalizeAxes, sizeOf } from "../../src/core/shape.ts";
import type { StandardizationAttributes } from "../../src/ops/standardization.ts";
import { chunkOf, reductionAlong, reductionUniforms, type Reduction } from "../reduce/reduction.ts";
import type { KernelProblem, Uniform } from "../strategy.ts";

export type StandardizationProblem = KernelProblem<StandardizationAttributes>;

export function rowsOf({ inputs, attributes }: StandardizationProblem): Reduction {
  const { shape } = inputs[0]!;
  return reductionAlong(shape, normalizeAxes(attributes.axes, shape.length, "Standardization"));
}

/** `lanes` threads share a row. */
export function rowUniforms(problem: StandardizationProblem, lanes: number): Record<string, Uniform> {
  const rows = rowsOf(problem);
  return {
    ...reductionUniforms(rows, lanes * chunkOf(rows.count / lanes)),
    epsilon: { type: "f32", value: Math.fround(problem.attributes.epsilon) },
  };
}

export const isCentered = ({ attributes }: StandardizationProblem): boolean => attributes.centered !== 0;

/** Three passes read the row, one writes it. */
export const rowTraffic = (problem: StandardizationProblem): number => 16 * sizeOf(problem.inputs[0]!.shape);

/** WGSL that sums `term`, an expression of `place`, over steps `first`, `first + stride` … of a row into `var total`. */
export function sumLoop(term: string, step: string, first: string, stride: string): string {
  return `
  var total = 0.0;
  for (var start = ${first}; start < u.count; start += u.chunk) {
    let end = min(start + u.chunk, u.count);
    var partial = 0.0;
    for (var r = start; r < end; r += ${stride}) {
      let place = base + ${step};
      partial += ${term};
    }
    total += partial;
  }`;
}

/** WGSL expression of an element's distance from the row's first, or from 0. */
export const distance = (problem: StandardizationProblem): string =>
  isCentered(problem) ? "(x[place] - origin)" : "x[place]";
