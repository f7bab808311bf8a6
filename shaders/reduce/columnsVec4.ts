// A thread four neighbouring results, read as vec4: their elements lie side by side where the innermost axis is kept (sums
// over a batch, gradients of biases). Wins there on every adapter with results enough to be busy.

import { dtypes } from "../../src/core/dtype.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineStrategy, type AnyStrategy, type BindingType } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  chunkOf,
  finish,
  foldLoop,
  places,
  quadsOf,
  reductionOf,
  reductionTraffic,
  reductionUniforms,
  supportsReduction,
  type Reducer,
} from "./reduction.ts";

export default function columnsVec4(reducer: Reducer): AnyStrategy {
  return defineStrategy({
    op: reducer.op,
    name: "columnsVec4",
    params: { workgroup: [64, 16] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(
        supportsReduction(problem, limits, workgroup),
        quadsOf(reductionOf(problem)).reading === "across" || "neighbouring results are no multiple of 4",
      ),
    dispatch: (problem, { workgroup }) => linearDispatch(quadsOf(reductionOf(problem)).rows.results, workgroup),
    uniforms(problem) {
      const { rows } = quadsOf(reductionOf(problem));
      return reductionUniforms(rows, chunkOf(rows.count));
    },
    trafficBytes: reductionTraffic,
    intensity: () => 2,
    source(problem, { workgroup }) {
      const { base, step } = places(quadsOf(reductionOf(problem)).rows, {});
      const { dtype } = problem.inputs[0]!;
      const type = `vec4<${dtypes[dtype].wgsl}>` as BindingType;
      const fold = foldLoop(reducer, dtype, {
        type,
        load: `data[base + ${step}]`,
        first: "0u",
        stride: "1u",
        end: "u.count",
      });
      return {
        bindings: { data: type },
        lanes: 4,
        code: wgsl`
${reducer.helpers ?? ""}
${linearMain(workgroup)}
  if (index >= u.results) { return; }
  let base = ${base};
  ${fold}
  reduced[index] = epilogue4(${finish(reducer, "total", dtype)}, index);
}`,
      };
    },
  });
}
