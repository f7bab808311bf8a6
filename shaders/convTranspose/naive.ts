// One invocation an output element, as a gather: it looks for the input positions and taps that would have been scattered
// onto it, so nothing is added by two invocations and the result is the same on every run. Most (stride² − 1 of stride²)
// taps miss when the stride is above 1. The yardstick, and what is left when the others decline.

import { sizeOf } from "../../src/core/shape.ts";
import { convTranspose, convTransposeGeometry, type ConvTransposeAttributes } from "../../src/ops/conv.ts";
import { convConstants, convUniforms } from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

const WORKGROUP = 64;

const outputs = (problem: KernelProblem<ConvTransposeAttributes>): number => sizeOf(problem.outputs[0]!.shape);

export default defineStrategy({
  op: convTranspose,
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
// x [N, M, out_h, out_w], w [M, C/group, KH, KW], b [C]; y [N, C, H, W]: names as in the forward convolution y → x
${convConstants(convTransposeGeometry(problem))}

${linearMain(WORKGROUP)}
  if (index >= u.size) { return; }
  let iw = index % u.W;
  let ih = (index / u.W) % u.H;
  let plane = index / (u.W * u.H);
  let c = plane % u.C;
  let n = plane / u.C;
  let group = c / u.group_c;
  var sum = 0.0;
  for (var i = 0u; i < u.group_m; i++) {
    let m = group * u.group_m + i;
    for (var kh = 0u; kh < KH; kh++) {
      let row = i32(ih) + PAD_TOP - i32(kh) * DILATION_H;
      if (row < 0 || row % STRIDE_H != 0 || u32(row / STRIDE_H) >= u.out_h) { continue; }
      let x_row = ((n * u.M + m) * u.out_h + u32(row / STRIDE_H)) * u.out_w;
      let w_row = ((m * u.group_c + c % u.group_c) * KH + kh) * KW;
      for (var kw = 0u; kw < KW; kw++) {
        let column = i32(iw) + PAD_LEFT - i32(kw) * DILATION_W;
        if (column < 0 || column % STRIDE_W != 0 || u32(column / STRIDE_W) >= u.out_w) { continue; }
        sum += w[w_row + kw] * x[x_row + u32(column / STRIDE_W)];
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
    const taps = (g.M * g.kH * g.kW) / g.group / (g.strideH * g.strideW);
    return 4 * outputs(problem) * (2 * taps + 1);
  },
});
