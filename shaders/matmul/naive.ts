// One invocation an element, straight from the definition: two loads a multiply-add, any strides, any extents, any type.
// Wins nowhere but on tiny products; it is what the others are measured against and what is left when they decline.

import { dtypes } from "../../src/core/dtype.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { type matMul, matMulGeometry } from "../../src/ops/matmul.ts";
import { linearDispatch, linearMain } from "../common/linear.ts";
import { fitsBindings } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { wgsl } from "../wgsl.ts";
import { batchOffsets, matMulUniforms, type MatMulProblem } from "./layout.ts";

const WORKGROUP = 64;

const outputs = (problem: MatMulProblem): number => sizeOf(problem.outputs[0]!.shape);

export default defineStrategy({
  op: operatorNamed<typeof matMul>("MatMul"),
  name: "naive",
  params: {},
  supports: (problem, limits) => fitsBindings(limits, problem),
  dispatch: (problem) => linearDispatch(outputs(problem), WORKGROUP),
  uniforms: (problem) => ({ ...matMulUniforms(problem), size: { type: "u32", value: outputs(problem) } }),
  source: (problem) => ({
    code: wgsl`
// a [batch…, M, K], b [batch…, K, N] by strides; y [batch…, M, N]
${batchOffsets(problem)}

${linearMain(WORKGROUP)}
  if (index >= u.size) { return; }
  let n = index % u.N;
  let row = index / u.N;
  let m = row % u.M;
  let offsets = batch_offsets(row / u.M);
  var a_index = offsets.x + m * u.a_row_stride;
  var b_index = offsets.y + n * u.b_col_stride;
  var sum = ${dtypes[problem.outputs[0]!.dtype].wgsl}(0);
  for (var k = 0u; k < u.K; k++) {
    sum += a[a_index] * b[b_index];
    a_index += u.a_col_stride;
    b_index += u.b_row_stride;
  }
  y[index] = epilogue(sum, index);
}`,
  }),
  trafficBytes: (problem) => 4 * outputs(problem) * (2 * matMulGeometry(problem).K + 1),
});
