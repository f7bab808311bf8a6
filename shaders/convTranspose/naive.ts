// One invocation an output element, as a gather: it visits the input positions and taps that would have been scattered
// onto it, so nothing is added by two invocations and the result is the same on every run. Taps that fall between the
// strides are stepped over. The yardstick, and what is left when the others decline.

import { sizeOf } from "../../src/core/shape.ts";
import type { convTranspose } from "../../src/ops/convBack.ts";
import { convTransposeGeometry } from "../../src/ops/convBackGeometry.ts";
import { type ConvTransposeAttributes } from "../../src/ops/convGeometry.ts";
import { convConstants, convUniforms } from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { reachingTaps } from "./taps.ts";

const WORKGROUP = 64;

const outputs = (problem: KernelProblem<ConvTransposeAttributes>): number => sizeOf(problem.outputs[0]!.shape);

export default defineStrategy({
  op: operatorNamed<typeof convTranspose>("ConvTranspose"),
  name: "naive",
  params: {},
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch: (problem) => linearDispatch(outputs(problem), WORKGROUP),
  uniforms: (problem) => ({
    ...convUniforms(convTransposeGeometry(problem)),
    size: { type: "u32", value: outputs(problem) },
  }),
  source: (problem) => ({
    code: wgsl`
// x [N, M, out_d, out_h, out_w], w [M, C/group, KD, KH, KW], b [C]; y [N, C, D, H, W]: names as in the forward
// convolution y → x
${convConstants(convTransposeGeometry(problem))}
${reachingTaps(convTransposeGeometry(problem))}

${linearMain(WORKGROUP)}
  if (index >= u.size) { return; }
  let iw = index % u.W;
  let ih = (index / u.W) % u.H;
  let id = (index / (u.W * u.H)) % u.D;
  let plane = index / (u.W * u.H * u.D);
  let c = plane % u.C;
  let n = plane / u.C;
  let group = c / u.group_c;
  let reach_d = i32(id) + PAD_FRONT;
  let reach_h = i32(ih) + PAD_TOP;
  let reach_w = i32(iw) + PAD_LEFT;
  let first_kd = first_tap(reach_d, KD, STRIDE_D, DILATION_D);
  let first_kh = first_tap(reach_h, KH, STRIDE_H, DILATION_H);
  let first_kw = first_tap(reach_w, KW, STRIDE_W, DILATION_W);
  var sum = 0.0;
  for (var i = 0u; i < u.group_m; i++) {
    let m = group * u.group_m + i;
    for (var kd = first_kd; kd < KD; kd += STEP_D) {
      let od = (reach_d - i32(kd) * DILATION_D) / STRIDE_D;
      if (u32(od) >= u.out_d) { continue; }
      for (var kh = first_kh; kh < KH; kh += STEP_H) {
        let oh = (reach_h - i32(kh) * DILATION_H) / STRIDE_H;
        if (u32(oh) >= u.out_h) { continue; }
        let x_row = (((n * u.M + m) * u.out_d + u32(od)) * u.out_h + u32(oh)) * u.out_w;
        let w_row = (((m * u.group_c + c % u.group_c) * KD + kd) * KH + kh) * KW;
        for (var kw = first_kw; kw < KW; kw += STEP_W) {
          let ow = (reach_w - i32(kw) * DILATION_W) / STRIDE_W;
          if (u32(ow) < u.out_w) { sum += w[w_row + kw] * x[x_row + u32(ow)]; }
        }
      }
    }
  }
#if ${problem.inputs[2] !== undefined}
  sum += b[c];
#endif
  y[index] = epilogue(sum, index);
}`,
  }),
  trafficBytes(problem) {
    const g = convTransposeGeometry(problem);
    const taps = (g.M * g.kD * g.kH * g.kW) / g.group / (g.strideD * g.strideH * g.strideW);
    return 4 * outputs(problem) * (2 * taps + 1);
  },
});
