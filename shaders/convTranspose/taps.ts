// Which taps of a transposed convolution can reach an element: `reach − k·dilation` must be a multiple of the stride, which
// is so for every (stride / gcd)-th tap, if for any. Kernels look for the first and step from there.

import type { ConvGeometry } from "../../src/ops/convGeometry.ts";

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** WGSL constants STEP_D, STEP_H and STEP_W, and `first_tap`: the first tap that hits, the kernel's extent if none does. */
export function reachingTaps(g: ConvGeometry): string {
  const step = (stride: number, dilation: number): number => stride / gcd(stride, dilation);
  return `const STEP_D = ${step(g.strideD, g.dilationD)}u;
const STEP_H = ${step(g.strideH, g.dilationH)}u;
const STEP_W = ${step(g.strideW, g.dilationW)}u;

fn first_tap(reach: i32, kernel: u32, stride: i32, dilation: i32) -> u32 {
  var k = 0u;
  while (k < kernel && (reach - i32(k) * dilation) % stride != 0) { k++; }
  return k;
}`;
}
