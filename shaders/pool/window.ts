// What the pooling kernels share: the window's geometry as uniforms, the place of an element or a result in its plane, and
// the two questions gradients ask as well: where a window's maximum lies, and how many elements a window holds.

import { sizeOf } from "../../src/core/shape.ts";
import type { Attributes } from "../../src/ops/operator.ts";
import { poolGeometry } from "../../src/ops/pool.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { linearDispatch } from "../common/linear.ts";
import type { KernelLimits, KernelProblem, Uniform } from "../strategy.ts";

export type PoolProblem = KernelProblem<Parameters<typeof poolGeometry>[0]["attributes"]>;

/** Everything a window needs; axis by axis, extents in elements. */
export function windowUniforms(problem: PoolProblem): Record<string, Uniform> {
  const g = poolGeometry(problem);
  const values = {
    count: sizeOf(problem.outputs[0]!.shape),
    in_h: g.H,
    in_w: g.W,
    out_h: g.outH,
    out_w: g.outW,
    kernel_h: g.kH,
    kernel_w: g.kW,
    stride_h: g.strideH,
    stride_w: g.strideW,
    dilation_h: g.dilationH,
    dilation_w: g.dilationW,
    pad_top: g.padTop,
    pad_left: g.padLeft,
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { type: "i32", value }]));
}

/** Rows [top, bottom) and columns [left, right) whose elements count in a mean: with padding or without. */
export function countUniforms(problem: PoolProblem & KernelProblem<CountingPad>): Record<string, Uniform> {
  const { H, W, padTop, padBottom, padLeft, padRight } = poolGeometry(problem);
  const isPadCounted = problem.attributes.count_include_pad !== 0;
  const values = isPadCounted
    ? { top: -padTop, bottom: H + padBottom, left: -padLeft, right: W + padRight }
    : { top: 0, bottom: H, left: 0, right: W };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { type: "i32", value }]));
}

type CountingPad = Attributes & { readonly count_include_pad: number };

export const supportsPool = (problem: KernelProblem, limits: KernelLimits, workgroup: number): true | string =>
  firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup]));

/** True where no window reaches past the input: no padding, no ragged end. */
export function staysInside(problem: PoolProblem): true | string {
  const g = poolGeometry(problem);
  if (g.padTop + g.padLeft > 0) return "windows start in the padding";
  const bottom = (g.outH - 1) * g.strideH + (g.kH - 1) * g.dilationH;
  const right = (g.outW - 1) * g.strideW + (g.kW - 1) * g.dilationW;
  return (bottom < g.H && right < g.W) || "windows end past the input";
}

const MOST_TAPS = 32;

/** True where a window is small enough for its taps to be written out one by one. */
export function fewTaps(problem: PoolProblem): true | string {
  const { kH, kW } = poolGeometry(problem);
  return kH * kW <= MOST_TAPS || `${kH * kW} taps are too many to write out`;
}

export const dispatchPool = (problem: KernelProblem, workgroup: number): [number, number, number] =>
  linearDispatch(sizeOf(problem.outputs[0]!.shape), workgroup);

/** Every operand moved once: windows that overlap meet in the cache. */
export function poolTraffic(problem: KernelProblem): number {
  const elements = [...problem.inputs, ...problem.outputs].map((type) => (type ? sizeOf(type.shape) : 0));
  return 4 * elements.reduce((sum, size) => sum + size, 0);
}

/** Loads of `operand` (WGSL) over the taps of window (`oh`, `ow`) of `plane`, `body` run for each tap inside the input. */
const eachTap = (rowBody: string, tapBody: string, rowEnd: string): string => `
  let first_row = oh * u.stride_h - u.pad_top;
  let first_column = ow * u.stride_w - u.pad_left;
  for (var kh = 0; kh < u.kernel_h; kh++) {
    let row = first_row + kh * u.dilation_h;
    if (row < 0 || row >= u.in_h) { continue; }
    ${rowBody}
    for (var kw = 0; kw < u.kernel_w; kw++) {
      let column = first_column + kw * u.dilation_w;
      if (column < 0 || column >= u.in_w) { continue; }
      let place = (plane * u.in_h + row) * u.in_w + column;
      ${tapBody}
    }
    ${rowEnd}
  }`;

/** `arg_max(plane, oh, ow)`: place in x of the window's first maximum, -1 where the window holds no element. */
export const ARG_MAX = `
fn arg_max(plane: i32, oh: i32, ow: i32) -> i32 {
  var best = -1;
  var highest = 0.0;
  ${eachTap("", "if (best < 0 || x[place] > highest) { best = place; highest = x[place]; }", "")}
  return best;
}`;

/** `window_sum(plane, oh, ow)`: sum of the window's elements, row by row. */
export const WINDOW_SUM = `
fn window_sum(plane: i32, oh: i32, ow: i32) -> f32 {
  var total = 0.0;
  ${eachTap("var partial = 0.0;", "partial += x[place];", "total += partial;")}
  return total;
}`;

/** `window_count(oh, ow)`: what a window's sum is divided by; 1 where it holds nothing. */
export const WINDOW_COUNT = `
fn taps_between(first: i32, kernel: i32, dilation: i32, low: i32, high: i32) -> i32 {
  var count = 0;
  for (var k = 0; k < kernel; k++) {
    let position = first + k * dilation;
    count += select(0, 1, position >= low && position < high);
  }
  return count;
}

fn window_count(oh: i32, ow: i32) -> f32 {
  let rows = taps_between(oh * u.stride_h - u.pad_top, u.kernel_h, u.dilation_h, u.top, u.bottom);
  let columns = taps_between(ow * u.stride_w - u.pad_left, u.kernel_w, u.dilation_w, u.left, u.right);
  return f32(max(1, rows * columns));
}`;

/** Splits `element` (i32) of a tensor [planes, height, width] into `plane`, `a` and `b`. */
export const split = (height: string, width: string, a: string, b: string): string => `
  let element = i32(index);
  if (element >= u.count) { return; }
  let ${b} = element % ${width};
  let ${a} = (element / ${width}) % ${height};
  let plane = element / (${width} * ${height});`;

/** `body` run for each window (`oh`, `ow`) that holds input element (`h`, `w`). */
export const eachWindow = (body: string): string => `
  for (var kh = 0; kh < u.kernel_h; kh++) {
    let reach_h = h + u.pad_top - kh * u.dilation_h;
    let oh = reach_h / u.stride_h;
    if (reach_h < 0 || oh >= u.out_h || oh * u.stride_h != reach_h) { continue; }
    var partial = 0.0;
    for (var kw = 0; kw < u.kernel_w; kw++) {
      let reach_w = w + u.pad_left - kw * u.dilation_w;
      let ow = reach_w / u.stride_w;
      if (reach_w < 0 || ow >= u.out_w || ow * u.stride_w != reach_w) { continue; }
      let place = (plane * u.out_h + oh) * u.out_w + ow;
      ${body}
    }
    total += partial;
  }`;
