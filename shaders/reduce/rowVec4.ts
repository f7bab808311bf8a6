// A thread a row, read as vec4: four partial results advance side by side and meet at the end, with no barrier. Wins for
// many rows of moderate length along the innermost axis, above all on adapters where barriers are expensive.

import { linearDispatch, linearMain } from "../common/linear.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineStrategy, type AnyStrategy, type BindingType } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import {
  chunkOf,
  elementType,
  finish,
  reductionOf,
  reductionTraffic,
  scaleOf,
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
      firstReason(supportsReduction(reducer, problem, limits, workgroup), isVectorRows(reductionOf(problem))),
    dispatch: (problem, { workgroup }) => linearDispatch(reductionOf(problem).results, workgroup),
    uniforms(problem) {
      const reduction = reductionOf(problem);
      const quads = reduction.count / 4;
      return {
        results: { type: "u32", value: reduction.results },
        quads: { type: "u32", value: quads },
        chunk: { type: "u32", value: chunkOf(quads) },
        ...scaleOf(reducer, reduction),
      };
    },
    trafficBytes: reductionTraffic,
    intensity: () => 2,
    source(problem, { workgroup }) {
      const vector = `vec4<${elementType(problem)}>` as BindingType;
      return {
        bindings: { data: vector },
        code: wgsl`
${reducer.helpers}
${linearMain(workgroup)}
  if (index >= u.results) { return; }
  let base = index * u.quads;
#if ${reducer.isSum}
  var total = ${vector}(0);
  for (var start = 0u; start < u.quads; start += u.chunk) {
    let end = min(start + u.chunk, u.quads);
    var partial = ${vector}(0);
    for (var r = start; r < end; r++) { partial += data[base + r]; }
    total += partial;
  }
#else
  var total = data[base];
  for (var r = 1u; r < u.quads; r++) { total = ${reducer.combine("total", "data[base + r]", 4)}; }
#endif
  let even = ${reducer.combine("total.x", "total.z")};
  let odd = ${reducer.combine("total.y", "total.w")};
  let value = ${reducer.combine("even", "odd")};
  reduced[index] = epilogue(${finish(reducer, "value")}, index);
}`,
      };
    },
  });
}
