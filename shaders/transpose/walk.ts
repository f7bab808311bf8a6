// A transposition as a walk over the input in the output's order: axes that stay neighbours are merged first, so that
// NCHW → NHWC, say, is a plain [N, C, HW] → [N, HW, C].

import { sizeOf, stridesOf } from "../../src/core/shape.ts";
import { permutationOf, type TransposeAttributes } from "../../src/ops/transpose.ts";
import { mergeRuns, type Run } from "../common/runs.ts";
import type { KernelProblem } from "../strategy.ts";

export type TransposeProblem = KernelProblem<TransposeAttributes>;

/** Runs in the order of the output's axes; strides are the input's. */
export function walkOf(problem: TransposeProblem): Run[] {
  const { shape } = problem.inputs[0]!;
  const order = permutationOf(shape, problem.attributes.perm);
  const strides = stridesOf(shape);
  return mergeRuns(order.map((axis) => ({ extent: shape[axis]!, stride: strides[axis]! })));
}

/** Read once, written once. */
export const transposeTraffic = (problem: TransposeProblem): number => 8 * sizeOf(problem.inputs[0]!.shape);
