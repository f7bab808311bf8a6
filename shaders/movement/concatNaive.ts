// Each output element asks whose it is: a row of the output is a row of every input, one behind the other.

import { type concat, concatRows, type ConcatAttributes } from "../../src/ops/concat.ts";
import { linearMain } from "../common/linear.ts";
import { unroll } from "../common/unroll.ts";
import { defineStrategy, type KernelProblem, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { countOf, perElement, words, WORKGROUP } from "./elementwise.ts";

const rowsOf = ({ inputs, attributes }: KernelProblem<ConcatAttributes>): number[] =>
  concatRows(inputs, attributes.axis);

export default defineStrategy({
  op: operatorNamed<typeof concat>("Concat"),
  name: "naive",
  ...perElement,
  uniforms(problem) {
    const rows = rowsOf(problem);
    const fields: Record<string, number> = { row: rows.reduce((sum, length) => sum + length, 0) };
    rows.forEach((length, i) => (fields[`row${i}`] = length));
    return { ...countOf(problem), ...words(fields) };
  },
  source(problem) {
    const last = rowsOf(problem).length - 1;
    const load = (i: number): string => `concat_result[index] = epilogue(input${i}[row * u.row${i} + place], index);`;
    return {
      code: wgsl`
${linearMain(WORKGROUP)}
  if (index >= u.count) { return; }
  let row = index / u.row;
  var place = index % u.row;
${unroll(
  last,
  (i) => `  if (place < u.row${i}) {
    ${load(i)}
    return;
  }
  place -= u.row${i};`,
)}
  ${load(last)}
}`,
    };
  },
});
