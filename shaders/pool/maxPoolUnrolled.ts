// A thread a window, for windows that never leave the input: the taps are written out and none is checked against the edge.
// With small windows that is most of what the naive kernel does.

import { maxPool, poolGeometry } from "../../src/ops/pool.ts";
import { linearMain } from "../common/linear.ts";
import { unroll } from "../common/unroll.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineStrategy } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { dispatchPool, fewTaps, poolTraffic, split, staysInside, supportsPool, windowUniforms } from "./window.ts";

export default defineStrategy({
  op: maxPool,
  name: "unrolled",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(staysInside(problem), fewTaps(problem), supportsPool(problem, limits, workgroup)),
  dispatch: (problem, { workgroup }) => dispatchPool(problem, workgroup),
  uniforms: windowUniforms,
  trafficBytes: poolTraffic,
  intensity: () => 1,
  source(problem, { workgroup }) {
    const { kH, kW } = poolGeometry(problem);
    const tap = (i: number): string =>
      `  let tap${i} = x[corner + ${Math.floor(i / kW)} * row_step + ${i % kW} * u.dilation_w];`;
    return {
      code: wgsl`
// x [planes, in_h, in_w]; y [planes, out_h, out_w]
${linearMain(workgroup)}
  ${split("u.out_h", "u.out_w", "oh", "ow")}
  let corner = (plane * u.in_h + oh * u.stride_h) * u.in_w + ow * u.stride_w;
  let row_step = u.dilation_h * u.in_w;
${unroll(kH * kW, tap)}
  var value = tap0;
${unroll(kH * kW - 1, (i) => `  if (tap${i + 1} > value) { value = tap${i + 1}; }`)}
  y[index] = epilogue(value, index);
}`,
    };
  },
});
