// When an output counts as right, by the rules of ONNX's backend tests: shape and element type exactly, integers and truth
// values equal, and floating point within `atol + rtol·|expected|`, where NaN matches NaN and infinities match by sign.

import { formatShape, type Shape } from "../../core/shape.ts";
import { asNumbers } from "../../formats/elements.ts";

/** How far a floating-point element may be from the expected one. */
export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
  /** `atol` is a share of the largest finite |expected| of the output. */
  readonly atolRelativeToMax: boolean;
}

/** The defaults of ONNX's own runner. */
export const DEFAULT_TOLERANCE: Tolerance = { rtol: 1e-3, atol: 1e-7, atolRelativeToMax: false };

/** An output: 64-bit integers are big integers, so that their last digits count, too. */
export interface Judged {
  readonly dtype: string;
  readonly shape: Shape;
  readonly data: ArrayLike<number> | ArrayLike<bigint>;
}

/** What is wrong with `actual`, in words; undefined when it is right. */
export function judge(actual: Judged, expected: Judged, tolerance: Tolerance): string | undefined {
  if (actual.dtype !== expected.dtype) return `is ${actual.dtype}, expected ${expected.dtype}`;
  if (formatShape(actual.shape) !== formatShape(expected.shape))
    return `has shape ${formatShape(actual.shape)}, expected ${formatShape(expected.shape)}`;
  if (actual.data.length !== expected.data.length)
    return `has ${actual.data.length} elements, expected ${expected.data.length}`;
  const isFloat = expected.dtype.includes("float");
  return isFloat ? judgeFloats(actual, expected, tolerance) : judgeExactly(actual.data, expected.data);
}

function judgeExactly(actual: Judged["data"], expected: Judged["data"]): string | undefined {
  const wrong: number[] = [];
  for (let i = 0; i < expected.length; i++) if (actual[i] !== expected[i]) wrong.push(i);
  if (wrong.length === 0) return undefined;
  const [first] = wrong as [number];
  return `${share(wrong.length, expected.length)}: element ${first} is ${String(actual[first])}, expected ${String(expected[first])}`;
}

function judgeFloats(actual: Judged, expected: Judged, tolerance: Tolerance): string | undefined {
  const [came, wanted] = [asNumbers(actual.data), asNumbers(expected.data)];
  const absolute = tolerance.atol * (tolerance.atolRelativeToMax ? largestFinite(wanted) : 1);
  let wrong = 0;
  let worst = 0;
  let worstExcess = -1;
  for (let i = 0; i < wanted.length; i++) {
    const [a, e] = [came[i]!, wanted[i]!];
    if (a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    const bound = absolute + tolerance.rtol * Math.abs(e);
    const difference = Math.abs(a - e);
    if (Number.isFinite(a) && Number.isFinite(e) && difference <= bound) continue;
    wrong++;
    const excess = Number.isFinite(difference) ? difference / bound : Infinity;
    if (excess > worstExcess) [worst, worstExcess] = [i, excess];
  }
  if (wrong === 0) return undefined;
  const bound = absolute + tolerance.rtol * Math.abs(wanted[worst]!);
  return `${share(wrong, wanted.length)}: element ${worst} is ${came[worst]}, expected ${wanted[worst]} ± ${bound.toPrecision(3)}`;
}

function largestFinite(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]!);
    if (Number.isFinite(magnitude) && magnitude > largest) largest = magnitude;
  }
  return largest;
}

const share = (wrong: number, all: number): string => `${wrong} of ${all} elements wrong`;
