// Sums over a window, and how many elements a mean divides them by.

import type { Attributes } from "../../src/ops/operator.ts";
import { poolGeometry } from "../../src/ops/poolGeometry.ts";
import { eachTap, signed, type PoolProblem } from "../common/poolWindow.ts";
import type { KernelProblem, Uniform } from "../strategy.ts";

type CountingPad = Attributes & { readonly count_include_pad: number };

/** Positions [low, high) of each axis whose elements count in a mean: with padding or without. */
export function countUniforms(problem: PoolProblem & KernelProblem<CountingPad>): Record<string, Uniform> {
  const { depth, height, width } = poolGeometry(problem);
  const isPadCounted = problem.attributes.count_include_pad !== 0;
  const ranges = Object.entries({ d: depth, h: height, w: width }).flatMap(([name, { extent, padBegin, padEnd }]) => [
    [`low_${name}`, isPadCounted ? -padBegin : 0] as const,
    [`high_${name}`, isPadCounted ? extent + padEnd : extent] as const,
  ]);
  return signed(Object.fromEntries(ranges));
}

/** `window_sum(plane, od, oh, ow)`: sum of `term` (of the element `x[place]`) over the window, row by row. */
export const windowSum = (term: string): string => `
fn window_sum(plane: i32, od: i32, oh: i32, ow: i32) -> f32 {
  var total = 0.0;
  ${eachTap("var partial = 0.0;", `partial += ${term};`, "total += partial;")}
  return total;
}`;

/** `window_count(od, oh, ow)`: what a window's sum is divided by; 1 where it holds nothing. */
export const WINDOW_COUNT = `
fn taps_between(first: i32, kernel: i32, dilation: i32, low: i32, high: i32) -> i32 {
  var count = 0;
  for (var k = 0; k < kernel; k++) {
    let position = first + k * dilation;
    count += select(0, 1, position >= low && position < high);
  }
  return count;
}

fn window_count(od: i32, oh: i32, ow: i32) -> f32 {
  let slices = taps_between(od * u.stride_d - u.pad_d, u.kernel_d, u.dilation_d, u.low_d, u.high_d);
  let rows = taps_between(oh * u.stride_h - u.pad_h, u.kernel_h, u.dilation_h, u.low_h, u.high_h);
  let columns = taps_between(ow * u.stride_w - u.pad_w, u.kernel_w, u.dilation_w, u.low_w, u.high_w);
  return f32(max(1, slices * rows * columns));
}`;
