// Few results, long sums: K is cut into parts, a batch of products gives each part's sums, and a second dispatch adds
// them up. An adapter that a handful of tiles would leave idle gets `parts` times as many; the price is writing and
// reading the partial sums. Deterministic: the order of summation is fixed, unlike with atomics. Wins on gradients of
// weights (K is the batch) and on one or a few rows against a tall matrix.
//
// An operand that is contiguous along K has its parts side by side in every row: it is transposed first, unless it is a
// single row, where the parts lie one behind the other anyway.

import { reduceSum } from "../../src/ops/reduce.ts";
import { matMul, matMulGeometry } from "../../src/ops/matmul.ts";
import type { Builder, Operand } from "../../src/ops/operator.ts";
import { reshapeTo } from "../../src/ops/reshape.ts";
import { transpose } from "../../src/ops/transpose.ts";
import { defineRewrite } from "../strategy.ts";

/** [own, K] or, `kFirst`, [K, own] as parts of the sum: [P, own, K/P] or [P, K/P, own]. */
function cut(build: Builder, matrix: Operand, own: number, K: number, parts: number, kFirst: boolean): Operand {
  const part = K / parts;
  if (kFirst) return reshapeTo(build, matrix, [parts, part, own]);
  if (own === 1) return reshapeTo(build, matrix, [parts, 1, part]);
  return build.apply(transpose, [reshapeTo(build, matrix, [own, parts, part])], { perm: [1, 0, 2] });
}

export default defineRewrite({
  op: matMul,
  name: "splitK",
  params: { parts: [8, 4, 16, 32] },

  supports(problem, _, { parts }) {
    const { batchSize, batch, M, N, K } = matMulGeometry(problem);
    const [a, b] = problem.inputs;
    const { dtype } = problem.outputs[0]!;
    if (dtype !== "float32") return `partial sums of ${dtype} would round or wrap`;
    if (batch.length > 0 || b!.shape.slice(0, -2).some((extent) => extent > 1)) return "a batch of products";
    if (problem.attributes.transA === 1 && a!.shape.slice(0, -2).some((extent) => extent > 1))
      return "rows of A that do not line up";
    if (batchSize * M * N === 0 || K === 0 || K % parts !== 0) return `a sum of ${K} is not ${parts} equal parts`;
    return true;
  },

  rewrite(build, [A, B], problem, { parts }) {
    const { M, N, K } = matMulGeometry(problem);
    const { transA, transB } = problem.attributes;
    const isColumn = B!.shape.length === 1;
    const a = cut(build, A!, M, K, parts, transA === 1);
    const b = cut(build, B!, N, K, parts, transB === 0 || isColumn);
    const sums = build.apply(matMul, [a, b], { transA, transB: isColumn ? 0 : transB }); // [P, M, N]
    const total = build.apply(reduceSum, [sums], { axes: [0], keepdims: 0 });
    return [reshapeTo(build, total, problem.outputs[0]!.shape)];
  },
});
