// Two to eight rows (or columns) against a large operand, as a small batch meets a layer's weights: the weights stream once
// for all rows, which stay in registers. See thin.ts for how it works.

import type { matMul } from "../../src/ops/matmul.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { isThin, thin } from "./thin.ts";

export default defineStrategy({
  ...thin,
  op: operatorNamed<typeof matMul>("MatMul"),
  name: "smallBatch",
  params: { slices: [1, 16], vectors: [1, 2] },
  supports: (problem, limits, p) => firstReason(isThin(problem, 2, 8), thin.supports(problem, limits, p)),
});
