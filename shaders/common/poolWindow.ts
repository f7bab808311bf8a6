// What the pooling kernels share: the window's geometry as uniforms, the place of a result in its plane, a walk over a
// window, and where its maximum lies.

import { sizeOf } from "../../src/core/shape.ts";
import { poolGeometry, type PoolAttributes } from "../../src/ops/poolGeometry.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "./workgroup.ts";
import { linearDispatch } from "./linear.ts";
import type { KernelLimits, KernelProblem, Uniform } from "../strategy.ts";

export type PoolProblem = KernelProblem<PoolAttributes>;

export const signed = (values: Readonly<Record<string, number>>): Record<string, Uniform> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { type: "i32", value }]));

/** Everything a window needs; axis by axis (d, h, w), extents in elements. */
export function windowUniforms(problem: PoolProblem): Record<string, Uniform> {
  const { depth, height, width } = poolGeometry(problem);
  const axes = Object.entries({ d: depth, h: height, w: width }).flatMap(([name, axis]) => [
    [`in_${name}`, axis.extent] as const,
    [`out_${name}`, axis.out] as const,
    [`kernel_${name}`, axis.kernel] as const,
    [`stride_${name}`, axis.stride] as const,
    [`dilation_${name}`, axis.dilation] as const,
    [`pad_${name}`, axis.padBegin] as const,
  ]);
  return signed({ count: sizeOf(problem.outputs[0]!.shape), ...Object.fromEntries(axes) });
}

export const supportsPool = (problem: KernelProblem, limits: KernelLimits, workgroup: number): true | string =>
  firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup]));

/** True where no window reaches past the input: no padding, no ragged end. */
export function staysInside(problem: PoolProblem): true | string {
  const { depth, height, width } = poolGeometry(problem);
  const axes = [depth, height, width];
  if (axes.some(({ padBegin }) => padBegin > 0)) return "windows start in the padding";
  const isInside = axes.every(
    ({ extent, out, stride, kernel, dilation }) => (out - 1) * stride + (kernel - 1) * dilation < extent,
  );
  return isInside || "windows end past the input";
}

const MOST_TAPS = 32;

/** True where a window is small enough for its taps to be written out one by one. */
export function fewTaps(problem: PoolProblem): true | string {
  const { depth, height, width } = poolGeometry(problem);
  const taps = depth.kernel * height.kernel * width.kernel;
  return taps <= MOST_TAPS || `${taps} taps are too many to write out`;
}

export const dispatchPool = (problem: KernelProblem, workgroup: number): [number, number, number] =>
  linearDispatch(sizeOf(problem.outputs[0]!.shape), workgroup);

/** Every operand moved once: windows that overlap meet in the cache. */
export function poolTraffic(problem: KernelProblem): number {
  const elements = [...problem.inputs, ...problem.outputs].map((type) => (type ? sizeOf(type.shape) : 0));
  return 4 * elements.reduce((sum, size) => sum + size, 0);
}

/** `body` run for each element `x[place]` of window (`od`, `oh`, `ow`) of `plane`, `before` and `after` around each of its rows. */
export const eachTap = (before: string, body: string, after: string): string => `
  for (var kd = 0; kd < u.kernel_d; kd++) {
    let slice = od * u.stride_d - u.pad_d + kd * u.dilation_d;
    if (slice < 0 || slice >= u.in_d) { continue; }
    for (var kh = 0; kh < u.kernel_h; kh++) {
      let row = oh * u.stride_h - u.pad_h + kh * u.dilation_h;
      if (row < 0 || row >= u.in_h) { continue; }
      ${before}
      for (var kw = 0; kw < u.kernel_w; kw++) {
        let column = ow * u.stride_w - u.pad_w + kw * u.dilation_w;
        if (column < 0 || column >= u.in_w) { continue; }
        let place = ((plane * u.in_d + slice) * u.in_h + row) * u.in_w + column;
        ${body}
      }
      ${after}
    }
  }`;

/** `arg_max(plane, od, oh, ow)`: place in x (of `type`) of the window's first maximum, -1 where the window holds no element. */
export const argMax = (type: "f32" | "i32" | "u32"): string => `
fn arg_max(plane: i32, od: i32, oh: i32, ow: i32) -> i32 {
  var best = -1;
  var highest = ${type}(0);
  ${eachTap("", "if (best < 0 || x[place] > highest) { best = place; highest = x[place]; }", "")}
  return best;
}`;

/** Splits `index`, a place in a tensor with the spatial extents `side`_d, _h and _w, into `plane` and one name an axis. */
export const split = (side: "u.in" | "u.out", [d, h, w]: readonly [string, string, string]): string => `
  let element = i32(index);
  if (element >= u.count) { return; }
  let ${w} = element % ${side}_w;
  let ${h} = (element / ${side}_w) % ${side}_h;
  let ${d} = (element / (${side}_w * ${side}_h)) % ${side}_d;
  let plane = element / (${side}_w * ${side}_h * ${side}_d);`;

/** The invocation's window: `plane`, `od`, `oh`, `ow`. */
export const SPLIT_WINDOW = split("u.out", ["od", "oh", "ow"]);
