// One invocation a weight: a sum over all images and positions, two loads a multiply-add. Weights are few and sums long,
// so most of a GPU stands idle. The yardstick, and what is left when the others decline.

import { sizeOf } from "../../src/core/shape.ts";
import type { convWeightGradient } from "../../src/ops/convBack.ts";
import { convWeightGradientGeometry } from "../../src/ops/convBackGeometry.ts";
import { type ConvWeightGradientAttributes } from "../../src/ops/convGeometry.ts";
import { convConstants, convUniforms } from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

const WORKGROUP = 64;

const weights = (problem: KernelProblem<ConvWeightGradientAttributes>): number => sizeOf(problem.outputs[0]!.shape);

export default defineStrategy({
  op: operatorNamed<typeof convWeightGradient>("ConvWeightGradient"),
  name: "naive",
  params: {},
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch: (problem) => linearDispatch(weights(problem), WORKGROUP),
  uniforms: (problem) => ({
    ...convUniforms(convWeightGradientGeometry(problem)),
    size: { type: "u32", value: weights(problem) },
  }),
  source: (problem) => ({
    code: wgsl`
// x [N, C, D, H, W], dy [N, M, out_d, out_h, out_w]; dw [M, C/group, KD, KH, KW]
${convConstants(convWeightGradientGeometry(problem))}

${linearMain(WORKGROUP)}
  if (index >= u.size) { return; }
  let kw = index % KW;
  let kh = (index / KW) % KH;
  let kd = (index / (KW * KH)) % KD;
  let filter_index = index / (KW * KH * KD);
  let c = filter_index % u.group_c;
  let m = filter_index / u.group_c;
  let x_c = (m / u.group_m) * u.group_c + c;
  let front = i32(kd) * DILATION_D - PAD_FRONT;
  let top = i32(kh) * DILATION_H - PAD_TOP;
  let left = i32(kw) * DILATION_W - PAD_LEFT;
  var sum = 0.0;
  for (var n = 0u; n < u.N; n++) {
    for (var row = 0u; row < u.out_d * u.out_h; row++) {
      let id = i32(row / u.out_h) * STRIDE_D + front;
      let ih = i32(row % u.out_h) * STRIDE_H + top;
      if (u32(id) >= u.D || u32(ih) >= u.H) { continue; }
      let x_row = (((n * u.C + x_c) * u.D + u32(id)) * u.H + u32(ih)) * u.W;
      let dy_row = ((n * u.M + m) * u.out_d * u.out_h + row) * u.out_w;
      for (var ow = 0u; ow < u.out_w; ow++) {
        let iw = i32(ow) * STRIDE_W + left;
        if (u32(iw) < u.W) { sum += dy[dy_row + ow] * x[x_row + u32(iw)]; }
      }
    }
  }
  dw[index] = epilogue(sum, index);
}`,
  }),
  trafficBytes(problem) {
    const g = convWeightGradientGeometry(problem);
    return 4 * weights(problem) * (2 * g.N * g.outD * g.outH * g.outW + 1);
  },
});
