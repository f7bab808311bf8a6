// A thread a window, for windows that never leave the input: the taps are written out and none is checked against the edge.
// With small windows that is most of what the naive kernel does.

import type { maxPool } from "../../src/ops/maxPool.ts";
import { poolGeometry, windowSize } from "../../src/ops/poolGeometry.ts";
import { linearMain } from "../common/linear.ts";
import { unroll } from "../common/unroll.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  dispatchPool,
  fewTaps,
  poolTraffic,
  SPLIT_WINDOW,
  staysInside,
  supportsPool,
  windowUniforms,
} from "../common/poolWindow.ts";

export default defineStrategy({
  op: operatorNamed<typeof maxPool>("MaxPool"),
  name: "unrolled",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(staysInside(problem), fewTaps(problem), supportsPool(problem, limits, workgroup)),
  dispatch: (problem, { workgroup }) => dispatchPool(problem, workgroup),
  uniforms: windowUniforms,
  trafficBytes: poolTraffic,
  intensity: () => 1,
  source(problem, { workgroup }) {
    const g = poolGeometry(problem);
    const [kH, kW] = [g.height.kernel, g.width.kernel];
    const taps = windowSize(g);
    const tap = (i: number): string =>
      `  let tap${i} = x[corner + ${Math.floor(i / (kH * kW))} * slice_step + ${Math.floor(i / kW) % kH} * row_step + ${i % kW} * u.dilation_w];`;
    return {
      code: wgsl`
// x [planes, in_d, in_h, in_w]; y [planes, out_d, out_h, out_w]
${linearMain(workgroup)}
  ${SPLIT_WINDOW}
  let corner = ((plane * u.in_d + od * u.stride_d) * u.in_h + oh * u.stride_h) * u.in_w + ow * u.stride_w;
  let slice_step = u.dilation_d * u.in_h * u.in_w;
  let row_step = u.dilation_h * u.in_w;
${unroll(taps, tap)}
  var value = tap0;
${unroll(taps - 1, (i) => `  if (tap${i + 1} > value) { value = tap${i + 1}; }`)}
  y[index] = epilogue(value, index);
}`,
    };
  },
});
