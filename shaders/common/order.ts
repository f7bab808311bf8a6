// Numbers of any type as words whose order is theirs: what sorting and searching kernels compare. Words have a total order,
// also where floats have none, and nothing depends on how an adapter compares NaNs.

import { dtypes, type DType } from "../../src/core/dtype.ts";

/**
 * `order_of(x)`: a u32 that is larger for larger numbers and the same for equal ones, -0 and 0 included. NaN is above all.
 * With `flipped` the smallest number comes first: NaN below all, or, if `nanFirst`, above all the same.
 */
export function orderOf(dtype: DType, flipped: boolean, nanFirst = false): string {
  const type = dtypes[dtype].wgsl;
  const flip = flipped ? "~" : "";
  if (type !== "f32")
    return `fn order_of(x: ${type}) -> u32 { return ${flip}(bitcast<u32>(x)${type === "i32" ? " ^ 0x80000000u" : ""}); }`;
  return `
fn order_of(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let magnitude = bits << 1u;
  if (magnitude > 0xff000000u) { return ${flipped && !nanFirst ? "0u" : "0xffffffffu"}; }
  if (magnitude == 0u) { return ${flip}0x80000000u; }
  return ${flip}select(bits | 0x80000000u, ~bits, bits != (magnitude >> 1u));
}`;
}

/** No element: the worst in every order, and after all others of its kind. */
export const NOBODY = "vec2<u32>(0u, 0xffffffffu)";

/**
 * `before(a, b)`: of two (order, place) pairs, does the first come first? Larger ones do, and of equal ones the one with
 * the lower place, or with the higher one if `lastOfEqual`.
 */
export function before(lastOfEqual = false): string {
  const tied = lastOfEqual ? "((a.y > b.y && a.y != 0xffffffffu) || b.y == 0xffffffffu)" : "a.y < b.y";
  return `fn before(a: vec2<u32>, b: vec2<u32>) -> bool { return a.x > b.x || (a.x == b.x && ${tied}); }`;
}

/** Reduces every thread's `best`, an (order, place) pair, to the workgroup's, in `bests[0]`; needs {@link before}. */
export const bestOfWorkgroup = (workgroup: number): string => `
  bests[local] = best;
  workgroupBarrier();
  for (var span = ${workgroup / 2}u; span > 0u; span /= 2u) {
    if (local < span && before(bests[local + span], bests[local])) { bests[local] = bests[local + span]; }
    workgroupBarrier();
  }`;
