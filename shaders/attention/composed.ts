// Two products and a Softmax, with the scores in memory between them: what fused strategies are measured against. Wins
// where the product kernels are much better than what a fused kernel can keep up, and scores are few.

import { composedResult, composedScores } from "../../src/ops/attentionScores.ts";
import type { scaledDotProductAttention } from "../../src/ops/scaledDotProductAttention.ts";
import { defineRewrite, operatorNamed } from "../strategy.ts";
import { geometryOf } from "./scores.ts";

export default defineRewrite({
  op: operatorNamed<typeof scaledDotProductAttention>("ScaledDotProductAttention"),
  name: "composed",
  params: {},
  supports: (problem) => (geometryOf(problem).S > 0 && geometryOf(problem).D > 0) || "no keys, or heads of no size",
  rewrite(build, inputs, { attributes }) {
    const { weights } = composedScores(build, inputs, attributes);
    return [composedResult(build, weights, inputs, attributes)];
  },
});
