// A thread a row, in two passes instead of three: mean and squared deviations advance together. Four elements at a time get
// a mean and deviations of their own, which are then merged (Chan, Golub and LeVeque's form of Welford's recurrence), so
// that nothing cancels. Elements are read as vec4 where four neighbours belong to one row, or to four neighbouring rows.
// Wins where rows are many, above all on adapters where loads are dear and barriers dearer.

import type { standardization } from "../../src/ops/standardization.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { unroll, unrolledSum } from "../common/unroll.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { places, quadsOf } from "../reduce/reduction.ts";
import { defineStrategy, operatorNamed, type BindingType, type Uniform } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { isCentered, rowsOf, rowUniforms, type StandardizationProblem } from "./rows.ts";

/** Uniforms of the walk in the units it is made in, elements or vectors. */
function walkUniforms(problem: StandardizationProblem): Record<string, Uniform> {
  const { rows } = quadsOf(rowsOf(problem));
  const uniforms: Record<string, Uniform> = { ...rowUniforms(problem, 1) };
  uniforms["results"] = { type: "u32", value: rows.results };
  uniforms["count"] = { type: "u32", value: rows.count };
  places(rows, uniforms);
  return uniforms;
}

export default defineStrategy({
  op: operatorNamed<typeof standardization>("Standardization"),
  name: "welford",
  params: { workgroup: [64, 16] },
  supports: (problem, limits, { workgroup }) =>
    firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
  dispatch: (problem, { workgroup }) => linearDispatch(quadsOf(rowsOf(problem)).rows.results, workgroup),
  uniforms: walkUniforms,
  // Two passes read the row, one writes it.
  trafficBytes: (problem) => 12 * rowsOf(problem).results * rowsOf(problem).count,
  intensity: (problem) => (quadsOf(rowsOf(problem)).reading === "scalar" ? 3 : 8),
  source(problem, { workgroup }) {
    const { rows, reading } = quadsOf(rowsOf(problem));
    const { base, step } = places(rows, {});
    const lanes = reading === "scalar" ? 1 : 4;
    const type: BindingType = lanes === 4 ? "vec4<f32>" : "f32";
    const load = isCentered(problem) ? `(x[base + step_of(r)] - origin)` : "x[base + step_of(r)]";
    const at = (i: number): string => load.replace("(r)", `(r + ${i}u)`);
    return {
      bindings: { x: type },
      ...(lanes === 4 ? { lanes } : {}),
      code: wgsl`
alias Element = ${type};
fn step_of(r: u32) -> u32 { return ${step}; }
${linearMain(workgroup)}
  if (index >= u.results || u.count == 0u) { return; }
  let base = ${base};
  let origin = Element(x[base]${reading === "along" ? ".x" : ""});
  let fours = u.count / 4u * 4u;
  let size = f32(u.count);
  var r = 0u;
  var squares = Element();
#if ${isCentered(problem)}
  var mean = Element();
  for (; r < fours; r += 4u) {
    ${unroll(4, (i) => `let a${i} = ${at(i)};`)}
    let middle = ((a0 + a1) + (a2 + a3)) * 0.25;
    ${unroll(4, (i) => `let d${i} = a${i} - middle;`)}
    let difference = middle - mean;
    let share = 4.0 / f32(r + 4u);
    mean += difference * share;
    squares += ((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)) + difference * difference * (f32(r) * share);
  }
  for (; r < u.count; r++) {
    let a = ${load};
    let difference = a - mean;
    mean += difference / f32(r + 1u);
    squares += difference * (a - mean);
  }
#if ${reading === "along"}
  let middle = ((mean.x + mean.z) + (mean.y + mean.w)) * 0.25;
  let differences = mean - middle;
  mean = Element(middle);
  squares += differences * differences * size;
#endif
#else
  const mean = 0.0;
  for (; r < fours; r += 4u) {
    ${unroll(4, (i) => `let a${i} = ${at(i)};`)}
    squares += (${unrolledSum(2, (i) => `(a${2 * i} * a${2 * i} + a${2 * i + 1} * a${2 * i + 1})`)});
  }
  for (; r < u.count; r++) {
    let a = ${load};
    squares += a * a;
  }
#endif
#if ${reading === "along"}
  let variance = Element((squares.x + squares.z) + (squares.y + squares.w)) / (4.0 * size);
#else
  let variance = squares / size;
#endif
  let scale = inverseSqrt(variance + u.epsilon);
  for (r = 0u; r < u.count; r++) {
    let place = base + step_of(r);
    y[place] = epilogue${lanes === 4 ? "4" : ""}((${isCentered(problem) ? "x[place] - origin" : "x[place]"} - mean) * scale, place);
  }
}`,
    };
  },
});
