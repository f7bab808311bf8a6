// A slice is a walk over the input with strides of its own from a first element. Backward steps are negative strides, which
// as 32-bit words do what they should: index arithmetic wraps.

import { stridesOf } from "../../src/core/shape.ts";
import { resolveSlice, type slice, type SliceAttributes } from "../../src/ops/slice.ts";
import { linearMain } from "../common/linear.ts";
import { mergeRuns, runsIndex } from "../common/runs.ts";
import { defineStrategy, type KernelProblem, type Uniform, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { countOf, perElement, words, WORKGROUP } from "./elementwise.ts";

/** WGSL index of the input element behind output `index`, and its uniforms. */
function walk({ inputs, attributes }: KernelProblem<SliceAttributes>): [string, Record<string, Uniform>] {
  const { shape } = inputs[0]!;
  const strides = stridesOf(shape);
  const axes = resolveSlice(shape, attributes);
  const runs = mergeRuns(axes.map(({ step, count }, i) => ({ extent: count, stride: step * strides[i]! })));
  const uniforms = words({ first: axes.reduce((sum, { start }, i) => sum + start * strides[i]!, 0) });
  const place = runsIndex(
    runs.map(({ extent, stride }) => ({ extent, stride: stride >>> 0 })),
    "walk",
    "index",
    uniforms,
  );
  return [place, uniforms];
}

export default defineStrategy({
  op: operatorNamed<typeof slice>("Slice"),
  name: "naive",
  ...perElement,
  uniforms: (problem) => ({ ...countOf(problem), ...walk(problem)[1] }),
  source: (problem) => ({
    code: wgsl`
${linearMain(WORKGROUP)}
  if (index >= u.count) { return; }
  output[index] = epilogue(data[u.first + ${walk(problem)[0]}], index);
}`,
  }),
});
