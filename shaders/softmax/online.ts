// A thread a row, in two passes instead of three: the largest element so far and the sum of exponentials relative to it
// advance together, and the sum is rescaled when the maximum grows, once for four steps. Elements are read as vec4 where
// four neighbours belong to one row, or to four neighbouring rows. Wins where a row has no need of several threads, above
// all on adapters where loads are dear and exp is not. (Milakov and Gimelshein, https://arxiv.org/abs/1805.02867)

import { linearDispatch, linearMain } from "../common/linear.ts";
import { unroll } from "../common/unroll.ts";
import { fitsBindings, fitsWorkgroup, firstReason } from "../common/workgroup.ts";
import { defineStrategy, type AnyStrategy, type BindingType } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { rowsOf, UNDEFINED, type SoftmaxProblem, type Variant } from "./rows.ts";

/** What a thread reads at a time: an element, four neighbours of its row, or one of each of four neighbouring rows. */
type Reading = "scalar" | "along" | "across";

function readingOf(problem: SoftmaxProblem): Reading {
  const { extent, stride } = rowsOf(problem);
  if (stride === 1) return extent % 4 === 0 && extent > 0 ? "along" : "scalar";
  return stride % 4 === 0 ? "across" : "scalar";
}

export default function online({ op, isLog }: Variant): AnyStrategy {
  return defineStrategy({
    op,
    name: "online",
    params: { workgroup: [64, 16] },
    supports: (problem, limits, { workgroup }) =>
      firstReason(fitsBindings(limits, problem), fitsWorkgroup(limits, [workgroup])),
    dispatch(problem, { workgroup }) {
      const { rows } = rowsOf(problem);
      return linearDispatch(readingOf(problem) === "across" ? rows / 4 : rows, workgroup);
    },
    uniforms(problem) {
      const { rows, extent, stride } = rowsOf(problem);
      const reading = readingOf(problem);
      return {
        rows: { type: "u32", value: reading === "across" ? rows / 4 : rows },
        steps: { type: "u32", value: reading === "along" ? extent / 4 : extent },
        stride: { type: "u32", value: reading === "across" ? stride / 4 : stride },
      };
    },
    // Two passes read the row, one writes it.
    trafficBytes: (problem) => 12 * rowsOf(problem).rows * rowsOf(problem).extent,
    intensity: (problem) => (readingOf(problem) === "scalar" ? 3 : 8),
    source(problem, { workgroup }) {
      const reading = readingOf(problem);
      const lanes = reading === "scalar" ? 1 : 4;
      const type: BindingType = lanes === 4 ? "vec4<f32>" : "f32";
      const result = isLog ? "(x - peak) - shift" : "exp(x - peak) * shift";
      const stride = reading === "along" ? "1u" : "u.stride";
      return {
        bindings: { input: type },
        ...(lanes === 4 ? { lanes } : {}),
        code: wgsl`
alias Element = ${type};
alias Bits = ${type.replace("f32", "u32")};
alias Truth = ${lanes === 4 ? "vec4<bool>" : "bool"};
${UNDEFINED}
${linearMain(workgroup)}
  if (index >= u.rows) { return; }
  let base = (index / ${stride}) * (u.steps * ${stride}) + index % ${stride};
  let last = base + u.steps * ${stride};
  let four = 4u * ${stride};
  let fours = base + u.steps / 4u * four;
  var peak = Element(LOWEST);
  var total = Element();
  var place = base;
  for (; place < fours; place += four) {
    ${unroll(4, (i) => `let a${i} = ordered(input[place + ${i}u * ${stride}]);`)}
    let highest = max(peak, max(max(a0, a1), max(a2, a3)));
    let terms = (exp(a0 - highest) + exp(a1 - highest)) + (exp(a2 - highest) + exp(a3 - highest));
    total = total * exp(peak - highest) + terms;
    peak = highest;
  }
  for (; place < last; place += ${stride}) {
    let a = ordered(input[place]);
    let highest = max(peak, a);
    total = total * exp(peak - highest) + exp(a - highest);
    peak = highest;
  }
#if ${reading === "along"}
  let highest = max(max(peak.x, peak.z), max(peak.y, peak.w));
  let parts = total * exp(peak - highest);
  peak = Element(highest);
  total = Element((parts.x + parts.z) + (parts.y + parts.w));
#endif
  let shift = select(${isLog ? "log(total)" : "1.0 / total"}, Element(number_of(0x7fc00000u)), undefined_row(peak, total));
  for (place = base; place < last; place += ${stride}) {
    let x = input[place];
    output[place] = epilogue${lanes === 4 ? "4" : ""}(${result}, place);
  }
}`,
      };
    },
  });
}
