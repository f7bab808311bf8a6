// What the strategies of Softmax and LogSoftmax share: rows run along one axis, their elements `stride` apart, and the
// largest of a row is subtracted before exp so that nothing overflows.

import { normalizeAxis, sizeOf } from "../../src/core/shape.ts";
import type { logSoftmax, softmax, SoftmaxAttributes } from "../../src/ops/softmax.ts";
import { operatorNamed, type KernelProblem, type OperatorName, type Uniform } from "../strategy.ts";

export type SoftmaxProblem = KernelProblem<SoftmaxAttributes>;

/** One of the two operators; `isLog` for LogSoftmax. */
export interface Variant {
  readonly op: OperatorName<SoftmaxAttributes>;
  readonly isLog: boolean;
}

export const variants: readonly Variant[] = [
  { op: operatorNamed<typeof softmax>("Softmax"), isLog: false },
  { op: operatorNamed<typeof logSoftmax>("LogSoftmax"), isLog: true },
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

/**
 * WGSL of rows that have no softmax: one with NaN or ∞, or with nothing but -∞, is NaN throughout, as ONNX's arithmetic
 * would have it. `ordered` lets a maximum notice NaN; a row whose `peak` is then infinite `is_undefined`.
 */
export const UNDEFINED_ROWS = `
fn number_of(bits: u32) -> f32 { return bitcast<f32>(bits); }
fn ordered(x: f32) -> f32 { return select(x, number_of(0x7f800000u), (bitcast<u32>(x) << 1u) > 0xff000000u); }
fn is_undefined(peak: f32) -> bool { return (bitcast<u32>(peak) << 1u) == 0xff000000u; }
fn defined(value: f32, peak: f32) -> f32 { return select(value, number_of(0x7fc00000u), is_undefined(peak)); }`;

/**
 * The same for kernels that walk a row once, on `Element`s, which are scalars or vectors, with `Bits` and `Truth` of their size. A row
 * starts from LOWEST, so that nothing is subtracted from -∞, and one with nothing else has no sum.
 */
export const UNDEFINED = `
const LOWEST = -0x1.fffffep+127f;
fn number_of(bits: u32) -> f32 { return bitcast<f32>(bits); }
fn ordered(x: Element) -> Element {
  return select(x, Element(number_of(0x7f800000u)), (bitcast<Bits>(x) << Bits(1u)) > Bits(0xff000000u));
}
fn undefined_row(peak: Element, total: Element) -> Truth {
  return ((bitcast<Bits>(peak) << Bits(1u)) == Bits(0xff000000u)) | (total == Element());
}`;
