// A subgroup a result: its lanes stride over the elements together and combine by shuffling, without workgroup memory.
// Wins on GPUs for rows of moderate length, where a whole workgroup would mostly wait at its barriers.

import { dtypes } from "../../src/core/dtype.ts";
import { chunkOfLanes, hasSubgroups, overLanes, subgroupDispatch, subgroupMain } from "../common/subgroups.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineStrategy, type AnyStrategy } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  finish,
  foldLoop,
  places,
  reductionOf,
  reductionTraffic,
  reductionUniforms,
  supportsReduction,
  type Reducer,
} from "./reduction.ts";

export default function subgroup(reducer: Reducer): AnyStrategy {
  return defineStrategy({
    op: reducer.op,
    name: "subgroup",
    params: { workgroup: [64, 256], rows: [4, 16] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(hasSubgroups(limits), supportsReduction(problem, limits, workgroup)),
    dispatch: (problem, { rows }) => subgroupDispatch(reductionOf(problem).results, rows),
    uniforms(problem) {
      const reduction = reductionOf(problem);
      return { ...reductionUniforms(reduction, 1), chunk: chunkOfLanes(reduction.count) };
    },
    trafficBytes: reductionTraffic,
    source(problem, { workgroup }) {
      const { base, step } = places(reductionOf(problem), {});
      const { dtype } = problem.inputs[0]!;
      const fold = foldLoop(reducer, dtype, {
        type: dtypes[dtype].wgsl,
        load: `data[base + ${step}]`,
        first: "lane",
        stride: "lanes",
        end: "u.count",
      });
      return {
        enable: ["subgroups"],
        code: wgsl`
${reducer.helpers ?? ""}
${subgroupMain(workgroup, "u.results")}
    let base = ${base};
    ${fold}
    ${overLanes("total", (a, b) => reducer.combine(a, b, dtype))}
    if (lane == 0u) { reduced[index] = epilogue(${finish(reducer, "total", dtype)}, index); }
  }
}`,
      };
    },
  });
}
