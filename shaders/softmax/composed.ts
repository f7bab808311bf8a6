// Few long rows, in several dispatches: the maximum and the sum of exponentials are reductions, which may take two passes
// each and spread over the adapter; the exponentials are their prologue, and never in memory. Wins where rows are fewer than
// cores: scores over a vocabulary, one row at a time.

import { normalizeAxis } from "../../src/core/shape.ts";
import { div, sub } from "../../src/ops/binary.ts";
import { reduceSum } from "../../src/ops/reduce.ts";
import type { Operand } from "../../src/ops/operator.ts";
import { reduceMax } from "../../src/ops/reduce.ts";
import { exp, log } from "../../src/ops/unary.ts";
import { defineRewrite, type AnyRewrite } from "../strategy.ts";
import { variants, type Variant } from "./rows.ts";

const composed = ({ op, isLog }: Variant): AnyRewrite =>
  defineRewrite({
    op,
    name: "composed",
    params: {},
    supports: ({ inputs: [input] }) =>
      input!.dtype === "float32" || `sums of exponentials would round to ${input!.dtype}`,
    rewrite(build, [input], { attributes }) {
      const axes = [normalizeAxis(attributes.axis, input!.shape.length, "Softmax")];
      const peak = build.apply(reduceMax, [input], { axes });
      const shifted = (): Operand => build.apply(sub, [input, peak]);
      const sum = build.apply(reduceSum, [build.apply(exp, [shifted()])], { axes });
      if (isLog) return [build.apply(sub, [shifted(), build.apply(log, [sum])])];
      return [build.apply(div, [build.apply(exp, [shifted()]), sum])];
    },
  });

export default variants.map(composed);
