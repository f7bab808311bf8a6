// A thread a result: it walks its elements one by one, over any axes. Wins where there are results enough to fill the
// machine and neighbouring threads read neighbouring elements, that is when the innermost axis is kept.

import { linearDispatch, linearMain } from "../common/linear.ts";
import { defineStrategy, type AnyStrategy, type Uniform } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  chunkOf,
  elementType,
  finish,
  places,
  reductionOf,
  reductionTraffic,
  scaleOf,
  supportsReduction,
  type Reducer,
} from "./reduction.ts";

export default function naive(reducer: Reducer): AnyStrategy {
  return defineStrategy({
    op: reducer.op,
    name: "naive",
    params: { workgroup: [64] },
    supports: (problem, limits, { workgroup }) => supportsReduction(reducer, problem, limits, workgroup),
    dispatch: (problem, { workgroup }) => linearDispatch(reductionOf(problem).results, workgroup),
    uniforms(problem) {
      const reduction = reductionOf(problem);
      const uniforms: Record<string, Uniform> = {
        results: { type: "u32", value: reduction.results },
        count: { type: "u32", value: reduction.count },
        chunk: { type: "u32", value: chunkOf(reduction.count) },
        ...scaleOf(reducer, reduction),
      };
      places(reduction, uniforms);
      return uniforms;
    },
    trafficBytes: reductionTraffic,
    source(problem, { workgroup }) {
      const { base, step } = places(reductionOf(problem), {});
      const element = `data[base + ${step}]`;
      const type = elementType(problem);
      return {
        code: wgsl`
${reducer.helpers}
${linearMain(workgroup)}
  if (index >= u.results) { return; }
  let base = ${base};
#if ${reducer.isSum}
  var total = ${type}(0);
  for (var start = 0u; start < u.count; start += u.chunk) {
    let end = min(start + u.chunk, u.count);
    var partial = ${type}(0);
    for (var r = start; r < end; r++) { partial += ${element}; }
    total += partial;
  }
#else
  var total = data[base];
  for (var r = 1u; r < u.count; r++) { total = ${reducer.combine("total", element)}; }
#endif
  reduced[index] = epilogue(${finish(reducer, "total")}, index);
}`,
      };
    },
  });
}
