// One invocation an element, straight from the definition: it unpacks its row of weights number by number.

import { sizeOf } from "../../src/core/shape.ts";
import { blockGeometry, type matMulNBits } from "../../src/ops/matMulNBits.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { blockBindings, blockFunctions, blockUniforms, type BlockProblem } from "./blocks.ts";

const WORKGROUP = 64;

const outputs = (problem: BlockProblem): number => sizeOf(problem.outputs[0]!.shape);

export default defineStrategy({
  op: operatorNamed<typeof matMulNBits>("MatMulNBits"),
  name: "naive",
  params: {},
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch: (problem) => linearDispatch(outputs(problem), WORKGROUP),
  uniforms: (problem) => ({ ...blockUniforms(problem), size: { type: "u32", value: outputs(problem) } }),
  source(problem) {
    const { bits, block, perWord, wordsPerBlock } = blockGeometry(problem);
    return {
      bindings: blockBindings(problem, false),
      code: wgsl`
// a [M, K]; b [N, blocks, ${wordsPerBlock}]; scales [N, blocks]; zero_points [N, zero_words]; y [M, N]
${blockFunctions(problem)}

${linearMain(WORKGROUP)}
  if (index >= u.size) { return; }
  let n = index % u.N;
  let row = index / u.N * u.K;
  let words = n * u.blocks * ${wordsPerBlock}u;
  var sum = 0.0;
  for (var k = 0u; k < u.K; k++) {
    let block = k / ${block}u;
    let number = (b[words + k / ${perWord}u] >> ((k % ${perWord}u) * ${bits}u)) & ${2 ** bits - 1};
    sum += a[row + k] * ((f32(number) - zero_point(n, block)) * scales[n * u.blocks + block]);
  }
  y[index] = epilogue(sum, index);
}`,
    };
  },
  trafficBytes: (problem) => 4 * outputs(problem) * (3 * blockGeometry(problem).K + 1),
});
