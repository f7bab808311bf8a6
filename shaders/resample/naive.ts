// A result element a thread: it looks up where its neighbours begin along each axis and adds them up. The numbers of taps are
// compiled in, so that short sums are written out.

import { sizeOf } from "../../src/core/shape.ts";
import { type resample, resampleExtents, tapsOf } from "../../src/ops/resample.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { dtypes } from "../../src/core/dtype.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

export default defineStrategy({
  op: operatorNamed<typeof resample>("Resample"),
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
  dispatch: (problem, { workgroup }) => linearDispatch(sizeOf(problem.outputs[0]!.shape), workgroup),
  uniforms(problem) {
    const { outH, inH, middle, outW, inW, inner } = resampleExtents(problem);
    return {
      count: { type: "u32", value: sizeOf(problem.outputs[0]!.shape) },
      out_h: { type: "u32", value: outH },
      in_h: { type: "u32", value: inH },
      middle: { type: "u32", value: middle },
      out_w: { type: "u32", value: outW },
      in_w: { type: "u32", value: inW },
      inner: { type: "u32", value: inner },
      fill: { type: "f32", value: problem.attributes.fill },
    };
  },
  trafficBytes(problem) {
    const { columns, rows } = tapsOf(problem);
    return 4 * sizeOf(problem.outputs[0]!.shape) * (1 + columns * Math.max(1, rows));
  },
  source(problem, { workgroup }) {
    const { columns, rows } = tapsOf(problem);
    const [hasColumnWeights, hasRows, hasRowWeights] = [2, 3, 4].map((i) => problem.inputs[i] !== undefined);
    const type = dtypes[problem.inputs[0]!.dtype].wgsl;
    return {
      code: wgsl`
${linearMain(workgroup)}
  if (index >= u.count) { return; }
  let i = index % u.inner;
  let j = index / u.inner % u.out_w;
  let m = index / (u.inner * u.out_w) % u.middle;
  let outer = index / (u.inner * u.out_w * u.middle);
  let column = columns[j];
#if ${hasRows!}
  let k = outer % u.out_h;
  let row = rows[k];
  let plane = outer / u.out_h * u.in_h;
#else
  let row = 0;
  let plane = outer;
#endif
  if (min(column, row) < 0) {
    y[index] = epilogue(${type}(u.fill), index);
    return;
  }
  let first = (((plane + u32(row)) * u.middle + m) * u.in_w + u32(column)) * u.inner + i;
#if ${!hasColumnWeights && !hasRowWeights}
  y[index] = epilogue(x[first], index);
#else
  var sum = 0.0f;
  for (var s = 0u; s < ${Math.max(1, rows)}u; s++) {
    let line = first + s * u.middle * u.in_w * u.inner;
    var part = 0.0f;
    for (var t = 0u; t < ${columns}u; t++) {
#if ${hasColumnWeights!}
      part += bitcast<f32>(columnweights[j * ${columns}u + t]) * x[line + t * u.inner];
#else
      part += x[line + t * u.inner];
#endif
    }
#if ${hasRowWeights!}
    sum += bitcast<f32>(rowweights[k * ${rows}u + s]) * part;
#else
    sum += part;
#endif
  }
  y[index] = epilogue(sum, index);
#endif
}`,
    };
  },
});
