// What operators that only move elements share: each axis of the result says where its coordinates lie in the input, and
// an element is found by adding the axes' shares up. Slicing, padding and repeating differ in those tables alone.

import type { Numbers } from "./operator.ts";

/** In a table of {@link gatherByAxis}: no element of the input lies here. */
export const OUTSIDE = -1;

/**
 * The tensor [places[0].length, places[1].length, …] whose element (c0, c1, …) is data[places[0][c0] + places[1][c1] + …],
 * or `fill` where one of them is {@link OUTSIDE}.
 */
export function gatherByAxis(data: Numbers, places: readonly (readonly number[])[], fill = 0): Float64Array {
  const rank = places.length;
  const sizes = new Array<number>(rank + 1).fill(1); // elements of the result below an axis
  for (let axis = rank - 1; axis >= 0; axis--) sizes[axis] = sizes[axis + 1]! * places[axis]!.length;
  const values = new Float64Array(sizes[0]!).fill(fill);
  const visit = (axis: number, to: number, from: number): void => {
    if (axis === rank) {
      values[to] = data[from]!;
      return;
    }
    const steps = places[axis]!;
    for (let c = 0; c < steps.length; c++) {
      if (steps[c] === OUTSIDE) continue;
      if (axis === rank - 1) values[to + c] = data[from + steps[c]!]!;
      else visit(axis + 1, to + c * sizes[axis + 1]!, from + steps[c]!);
    }
  };
  if (sizes[0] !== 0) visit(0, 0, 0);
  return values;
}
