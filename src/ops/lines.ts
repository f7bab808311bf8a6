// A tensor as lines along one axis: what operators that search, sort or accumulate along an axis have in common.

import { normalizeAxis, sizeOf, type Shape } from "../core/shape.ts";

/** `outer × length × inner` elements, row-major: the extents before, along and after an axis. */
export interface Lines {
  /** The axis, non-negative. */
  readonly axis: number;
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
}

/** Throws ShapeError naming `who` on an axis out of range, so also on a scalar. */
export function linesOf(shape: Shape, axis: number, who: string): Lines {
  const at = normalizeAxis(axis, shape.length, who);
  return {
    axis: at,
    outer: sizeOf(shape.slice(0, at)),
    length: shape[at]!,
    inner: sizeOf(shape.slice(at + 1)),
  };
}

/** Visits every line: its number, and the place of its first element. Elements are `inner` apart. */
export function eachLine({ outer, length, inner }: Lines, visit: (line: number, first: number) => void): void {
  for (let line = 0; line < outer * inner; line++)
    visit(line, Math.floor(line / inner) * length * inner + (line % inner));
}
