// One invocation an output element, straight from the definition, taps in the padding skipped. Two loads a multiply-add:
// the yardstick for the others, and what is left when they decline.

import { sizeOf } from "../../src/core/shape.ts";
import { conv, convGeometry, type ConvAttributes } from "../../src/ops/conv.ts";
import { convConstants, convUniforms } from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

const WORKGROUP = 64;

const outputs = (problem: KernelProblem<ConvAttributes>): number => sizeOf(problem.outputs[0]!.shape);

export default defineStrategy({
  op: conv,
  name: "naive",
  params: {},
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch: (problem) => linearDispatch(outputs(problem), WORKGROUP),
  uniforms: (problem) => ({ ...convUniforms(convGeometry(problem)), size: { type: "u32", value: outputs(problem) } }),
  source: (problem) => ({
    code: wgsl`
// x [N, C, H, W], w [M, C/group, KH, KW], b [M]; y [N, M, out_h, out_w]
${convConstants(convGeometry(problem))}

${linearMain(WORKGROUP)}
  if (index >= u.size) { return; }
  let ow = index % u.out_w;
  let oh = (index / u.out_w) % u.out_h;
  let plane = index / (u.out_w * u.out_h);
  let m = plane % u.M;
  let n = plane / u.M;
  let first_c = (m / u.group_m) * u.group_c;
  let top = i32(oh) * STRIDE_H - PAD_TOP;
  let left = i32(ow) * STRIDE_W - PAD_LEFT;
  var sum = 0.0;
  for (var c = 0u; c < u.group_c; c++) {
    for (var kh = 0u; kh < KH; kh++) {
      let ih = top + i32(kh) * DILATION_H;
      if (u32(ih) >= u.H) { continue; }
      let x_row = ((n * u.C + first_c + c) * u.H + u32(ih)) * u.W;
      let w_row = ((m * u.group_c + c) * KH + kh) * KW;
      for (var kw = 0u; kw < KW; kw++) {
        let iw = left + i32(kw) * DILATION_W;
        if (u32(iw) < u.W) { sum += w[w_row + kw] * x[x_row + u32(iw)]; }
      }
    }
  }
#if ${problem.inputs[2] !== undefined}
  sum += b[m];
#endif
  y[index] = epilogue(sum, index);
}`,
  }),
  trafficBytes(problem) {
    const g = convGeometry(problem);
    return 4 * outputs(problem) * ((2 * g.C * g.kH * g.kW) / g.group + 1);
  },
});
