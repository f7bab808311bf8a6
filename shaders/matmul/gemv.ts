// A matrix times a vector: one row of A against B, or A against one column. See thin.ts for how it works. There is nothing to
// save but the vector's loads, so the large operand's bandwidth is the limit: bytes on a GPU, loads on an emulated one.

import type { matMul } from "../../src/ops/matmul.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { isThin, thin } from "./thin.ts";

export default defineStrategy({
  ...thin,
  op: operatorNamed<typeof matMul>("MatMul"),
  name: "gemv",
  params: { slices: [1, 16], vectors: [4, 1] },
  supports: (problem, limits, p) => firstReason(isThin(problem, 1, 1), thin.supports(problem, limits, p)),
});
