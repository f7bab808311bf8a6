// A thread a result: it walks its elements one by one, over any axes. Wins where there are results enough to fill the
// machine and neighbouring threads read neighbouring elements, that is when the innermost axis is kept.

import { dtypes } from "../../src/core/dtype.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { defineStrategy, type AnyStrategy } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  chunkOf,
  finish,
  foldLoop,
  places,
  reductionOf,
  reductionTraffic,
  reductionUniforms,
  supportsReduction,
  type Reducer,
} from "./reduction.ts";

export default function naive(reducer: Reducer): AnyStrategy {
  return defineStrategy({
    op: reducer.op,
    name: "naive",
    params: { workgroup: [64] },
    supports: (problem, limits, { workgroup }) => supportsReduction(problem, limits, workgroup),
    dispatch: (problem, { workgroup }) => linearDispatch(reductionOf(problem).results, workgroup),
    uniforms(problem) {
      const reduction = reductionOf(problem);
      return reductionUniforms(reduction, chunkOf(reduction.count));
    },
    trafficBytes: reductionTraffic,
    source(problem, { workgroup }) {
      const { base, step } = places(reductionOf(problem), {});
      const { dtype } = problem.inputs[0]!;
      const type = dtypes[dtype].wgsl;
      return {
        code: wgsl`
${reducer.helpers ?? ""}
${linearMain(workgroup)}
  if (index >= u.results) { return; }
  let base = ${base};
  ${foldLoop(reducer, dtype, { type, load: `data[base + ${step}]`, first: "0u", stride: "1u", end: "u.count" })}
  reduced[index] = epilogue(${finish(reducer, "total", dtype)}, index);
}`,
      };
    },
  });
}
