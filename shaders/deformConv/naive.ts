// One invocation an output element, straight from the definition. Every channel samples its taps anew: neighbouring
// invocations read neighbouring offsets, and the samples meet in the cache.

import { sizeOf } from "../../src/core/shape.ts";
import { type deformConv, deformConvGeometry, type DeformConvAttributes } from "../../src/ops/deformConv.ts";
import { convConstants, convUniforms } from "../common/convWindow.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

const WORKGROUP = 64;

const outputs = (problem: KernelProblem<DeformConvAttributes>): number => sizeOf(problem.outputs[0]!.shape);

export default defineStrategy({
  op: operatorNamed<typeof deformConv>("DeformConv"),
  name: "naive",
  params: {},
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch: (problem) => linearDispatch(outputs(problem), WORKGROUP),
  uniforms: (problem) => ({
    ...convUniforms(deformConvGeometry(problem)),
    offset_c: { type: "u32", value: deformConvGeometry(problem).C / problem.attributes.offset_group },
    size: { type: "u32", value: outputs(problem) },
  }),
  source: (problem) => ({
    code: wgsl`
// x [N, C, H, W], w [M, C/group, KH, KW], offset [N, parts, KH, KW, 2, out_h, out_w], b [M],
// mask [N, parts, KH, KW, out_h, out_w]; y [N, M, out_h, out_w]
${convConstants(deformConvGeometry(problem))}

// Element (row, column) of a plane of x, zero outside.
fn element(plane: u32, row: i32, column: i32) -> f32 {
  if (u32(row) >= u.H || u32(column) >= u.W) { return 0.0; }
  return x[(plane * u.H + u32(row)) * u.W + u32(column)];
}

// x at a place that is moved off an element: whole steps are taken apart, so that the rest stays exact.
fn sample(plane: u32, row: i32, column: i32, moved: vec2<f32>) -> f32 {
  let whole = clamp(floor(moved), vec2<f32>(-1e6), vec2<f32>(1e6));
  let rest = moved - whole;
  let top = row + i32(whole.x);
  let left = column + i32(whole.y);
  let upper = mix(element(plane, top, left), element(plane, top, left + 1), rest.y);
  let lower = mix(element(plane, top + 1, left), element(plane, top + 1, left + 1), rest.y);
  return mix(upper, lower, rest.x);
}

${linearMain(WORKGROUP)}
  if (index >= u.size) { return; }
  let area = u.out_h * u.out_w;
  let position = index % area;
  let plane = index / area;
  let m = plane % u.M;
  let n = plane / u.M;
  let top = i32(position / u.out_w) * STRIDE_H - PAD_TOP;
  let left = i32(position % u.out_w) * STRIDE_W - PAD_LEFT;
  var sum = 0.0;
  for (var group_c = 0u; group_c < u.group_c; group_c++) {
    let c = (m / u.group_m) * u.group_c + group_c;
    let part = n * (u.C / u.offset_c) + c / u.offset_c;
    for (var kh = 0u; kh < KH; kh++) {
      for (var kw = 0u; kw < KW; kw++) {
        let tap = (part * KH + kh) * KW + kw;
        let moved = vec2<f32>(offset[2u * tap * area + position], offset[(2u * tap + 1u) * area + position]);
        let row = top + i32(kh) * DILATION_H;
        let column = left + i32(kw) * DILATION_W;
        let weight = w[((m * u.group_c + group_c) * KH + kh) * KW + kw];
        let value = sample(n * u.C + c, row, column, moved);
#if ${problem.inputs[4] !== undefined}
        sum += weight * mask[tap * area + position] * value;
#else
        sum += weight * value;
#endif
      }
    }
  }
#if ${problem.inputs[3] !== undefined}
  sum += b[m];
#endif
  y[index] = epilogue(sum, index);
}`,
  }),
  trafficBytes(problem) {
    const g = deformConvGeometry(problem);
    return 4 * outputs(problem) * (((g.C * g.kH * g.kW) / g.group) * 8 + 1);
  },
});
