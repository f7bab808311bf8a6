// A thread a row, read as vec4: four partial results advance side by side and meet at the end, with no barrier. Wins for
// many rows of moderate length along the innermost axis, above all on adapters where barriers are expensive.

import { dtypes } from "../../src/core/dtype.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineStrategy, type AnyStrategy, type BindingType } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  chunkOf,
  finish,
  foldLoop,
  reductionOf,
  reductionTraffic,
  supportsReduction,
  type Reducer,
  type Reduction,
} from "./reduction.ts";

/** True if each result's elements lie beside each other and fill whole vectors, or why not. */
function isVectorRows({ reduced }: Reduction): true | string {
  const [row] = reduced;
  if (!row || reduced.length > 1 || row.stride !== 1) return "the reduced axes are not the innermost ones";
  return (row.extent > 0 && row.extent % 4 === 0) || `rows of ${row.extent} elements, which is no multiple of 4`;
}

export default function rowVec4(reducer: Reducer): AnyStrategy {
  return defineStrategy({
    op: reducer.op,
    name: "rowVec4",
    params: { workgroup: [64] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(supportsReduction(problem, limits, workgroup), isVectorRows(reductionOf(problem))),
    dispatch: (problem, { workgroup }) => linearDispatch(reductionOf(problem).results, workgroup),
    uniforms(problem) {
      const { count, results } = reductionOf(problem);
      return {
        results: { type: "u32", value: results },
        count: { type: "u32", value: count },
        quads: { type: "u32", value: count / 4 },
        chunk: { type: "u32", value: chunkOf(count / 4) },
      };
    },
    trafficBytes: reductionTraffic,
    intensity: () => 2,
    source(problem, { workgroup }) {
      const { dtype } = problem.inputs[0]!;
      const type = `vec4<${dtypes[dtype].wgsl}>` as BindingType;
      const fold = foldLoop(reducer, dtype, {
        type,
        load: "data[base + r]",
        first: "0u",
        stride: "1u",
        end: "u.quads",
      });
      return {
        bindings: { data: type },
        code: wgsl`
${reducer.helpers ?? ""}
${linearMain(workgroup)}
  if (index >= u.results) { return; }
  let base = index * u.quads;
  ${fold}
  let even = ${reducer.combine("total.x", "total.z", dtype)};
  let odd = ${reducer.combine("total.y", "total.w", dtype)};
  let value = ${reducer.combine("even", "odd", dtype)};
  reduced[index] = epilogue(${finish(reducer, "value", dtype)}, index);
}`,
      };
    },
  });
}
