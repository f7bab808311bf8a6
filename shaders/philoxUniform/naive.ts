// Four values a thread: one Philox block gives four words, and each becomes one element. Nothing is read but the key, and
// no thread needs another, so this is all there is to it.

import { sizeOf } from "../../src/core/shape.ts";
import type { philoxUniform } from "../../src/ops/dropout.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { PHILOX } from "../common/philox.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";

const WORDS = 4;

export default defineStrategy({
  op: operatorNamed<typeof philoxUniform>("PhiloxUniform"),
  name: "naive",
  params: { workgroup: [64] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
  dispatch: (problem, { workgroup }) => linearDispatch(Math.ceil(sizeOf(problem.outputs[0]!.shape) / WORDS), workgroup),
  uniforms: (problem) => ({
    count: { type: "u32", value: sizeOf(problem.outputs[0]!.shape) },
    stream: { type: "u32", value: problem.attributes.stream >>> 0 },
  }),
  trafficBytes: (problem) => 4 * sizeOf(problem.outputs[0]!.shape) + 8,
  intensity: () => 40,
  source: (_problem, { workgroup }) => ({
    code: wgsl`
${PHILOX}
${linearMain(workgroup)}
  let first = index * ${WORDS}u;
  if (first >= u.count) { return; }
  let words = philox(vec4<u32>(index, key[1], u.stream, 0u), vec2<u32>(key[0], 0u));
  for (var i = 0u; i < min(${WORDS}u, u.count - first); i++) {
    let element = first + i;
    output[element] = epilogue(f32(words[i] >> 8u) * 0x1p-24f, element);
  }
}`,
  }),
});
