// An element of X a thread: it asks every place of the result whether it was among that place's neighbours.

import { normalizeAxis, sizeOf } from "../../src/core/shape.ts";
import type { resampleGradient } from "../../src/ops/resample.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

export default defineStrategy({
  op: operatorNamed<typeof resampleGradient>("ResampleGradient"),
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
  dispatch: (problem, { workgroup }) => linearDispatch(sizeOf(problem.outputs[0]!.shape), workgroup),
  uniforms({ inputs, outputs, attributes }) {
    const { shape } = outputs[0]!;
    const axis = normalizeAxis(attributes.axis, shape.length, "ResampleGradient");
    return {
      count: { type: "u32", value: sizeOf(shape) },
      extent: { type: "u32", value: attributes.extent },
      places: { type: "u32", value: sizeOf(inputs[1]!.shape) },
      inner: { type: "u32", value: sizeOf(shape.slice(axis + 1)) },
    };
  },
  trafficBytes: ({ inputs, outputs }) => 4 * sizeOf(outputs[0]!.shape) * (1 + sizeOf(inputs[1]!.shape)),
  source({ inputs }, { workgroup }) {
    const taps = inputs[2]?.shape[1] ?? 1;
    return {
      code: wgsl`
${linearMain(workgroup)}
  if (index >= u.count) { return; }
  let i = index % u.inner;
  let place = i32(index / u.inner % u.extent);
  let outer = index / (u.inner * u.extent);
  var sum = 0.0f;
  for (var j = 0u; j < u.places; j++) {
    let start = starts[j];
    let t = place - start;
    if (start < 0 || t < 0 || t >= ${taps}) { continue; }
    let term = dy[(outer * u.places + j) * u.inner + i];
#if ${inputs[2] !== undefined}
    sum += bitcast<f32>(weights[j * ${taps}u + u32(t)]) * term;
#else
    sum += term;
#endif
  }
  dx[index] = epilogue(sum, index);
}`,
    };
  },
});
