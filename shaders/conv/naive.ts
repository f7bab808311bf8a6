// One invocation an output element, straight from the definition, taps in the padding skipped. Two loads a multiply-add:
// the yardstick for the others, and what is left when they decline.

import { sizeOf } from "../../src/core/shape.ts";
import type { conv } from "../../src/ops/conv.ts";
import { convGeometry, type ConvAttributes } from "../../src/ops/convGeometry.ts";
import { convConstants, convUniforms } from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

const WORKGROUP = 64;

const outputs = (problem: KernelProblem<ConvAttributes>): number => sizeOf(problem.outputs[0]!.shape);

export default defineStrategy({
  op: operatorNamed<typeof conv>("Conv"),
  name: "naive",
  params: {},
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch: (problem) => linearDispatch(outputs(problem), WORKGROUP),
  uniforms: (problem) => ({ ...convUniforms(convGeometry(problem)), size: { type: "u32", value: outputs(problem) } }),
  source: (problem) => ({
    code: wgsl`
// x [N, C, D, H, W], w [M, C/group, KD, KH, KW], b [M]; y [N, M, out_d, out_h, out_w]
${convConstants(convGeometry(problem))}

${linearMain(WORKGROUP)}
  if (index >= u.size) { return; }
  let ow = index % u.out_w;
  let oh = (index / u.out_w) % u.out_h;
  let od = (index / (u.out_w * u.out_h)) % u.out_d;
  let plane = index / (u.out_w * u.out_h * u.out_d);
  let m = plane % u.M;
  let n = plane / u.M;
  let first_c = (m / u.group_m) * u.group_c;
  let front = i32(od) * STRIDE_D - PAD_FRONT;
  let top = i32(oh) * STRIDE_H - PAD_TOP;
  let left = i32(ow) * STRIDE_W - PAD_LEFT;
  var sum = 0.0;
  for (var c = 0u; c < u.group_c; c++) {
    for (var kd = 0u; kd < KD; kd++) {
      let id = front + i32(kd) * DILATION_D;
      if (u32(id) >= u.D) { continue; }
      for (var kh = 0u; kh < KH; kh++) {
        let ih = top + i32(kh) * DILATION_H;
        if (u32(ih) >= u.H) { continue; }
        let x_row = (((n * u.C + first_c + c) * u.D + u32(id)) * u.H + u32(ih)) * u.W;
        let w_row = (((m * u.group_c + c) * KD + kd) * KH + kh) * KW;
        for (var kw = 0u; kw < KW; kw++) {
          let iw = left + i32(kw) * DILATION_W;
          if (u32(iw) < u.W) { sum += w[w_row + kw] * x[x_row + u32(iw)]; }
        }
      }
    }
  }
#if ${problem.inputs[2] !== undefined}
  sum += b[m];
#endif
  y[index] = epilogue(sum, index);
}`,
  }),
  // A multiply-add takes two loads, and more again for looking whether the tap is there and for the loop's turn.
  intensity: () => 0.2,
  trafficBytes(problem) {
    const g = convGeometry(problem);
    return 4 * outputs(problem) * ((2 * g.C * g.kD * g.kH * g.kW) / g.group + 1);
  },
});
