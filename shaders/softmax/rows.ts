// What the strategies of Softmax and LogSoftmax share: rows run along one axis, their elements `stride` apart, and the
// largest of a row is subtracted before exp so that nothing overflows.

import { normalizeAxis, sizeOf } from "../../src/core/shape.ts";
import { logSoftmax, softmax, type SoftmaxAttributes } from "../../src/ops/softmax.ts";
import type { Operator } from "../../src/ops/operator.ts";
import type { KernelProblem, Uniform } from "../strategy.ts";

export type SoftmaxProblem = KernelProblem<SoftmaxAttributes>;

/** One of the two operators; `isLog` for LogSoftmax. */
export interface Variant {
  readonly op: Operator<SoftmaxAttributes>;
  readonly isLog: boolean;
}

export const variants: readonly Variant[] = [
  { op: softmax, isLog: false },
  { op: logSoftmax, isLog: true },
];

export interface Rows {
  readonly rows: number;
  /** Elements of a row, and how far apart they lie. */
  readonly extent: number;
  readonly stride: number;
}

export function rowsOf(problem: SoftmaxProblem): Rows {
  const { shape } = problem.inputs[0]!;
  const axis = normalizeAxis(problem.attributes.axis, shape.length, "Softmax");
  const extent = shape[axis]!;
  return { rows: extent === 0 ? 0 : sizeOf(shape) / extent, extent, stride: sizeOf(shape.slice(axis + 1)) };
}

/** `chunk` is the number of terms after which a thread puts a partial sum away, see shaders/reduce/reduction.ts. */
export function rowUniforms({ rows, extent, stride }: Rows, chunk: number): Record<string, Uniform> {
  return {
    rows: { type: "u32", value: rows },
    extent: { type: "u32", value: extent },
    stride: { type: "u32", value: stride },
    chunk: { type: "u32", value: chunk },
  };
}

/** First element of row `row`. */
export const ROW_BASE = "(row / u.stride) * (u.extent * u.stride) + row % u.stride";

/** Three passes read the row, one writes it. */
export const rowTraffic = (problem: SoftmaxProblem): number => 16 * sizeOf(problem.inputs[0]!.shape);
