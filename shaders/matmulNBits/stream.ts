// Up to eight rows against packed weights, as a language model's tokens meet them one by one: every word of the weights is
// read and unpacked once for all rows. See register.ts for how.

import { blockGeometry, type matMulNBits } from "../../src/ops/matMulNBits.ts";
import { firstReason } from "../common/workgroup.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import type { BlockProblem } from "./blocks.ts";
import { register, type Tile } from "./register.ts";

const MOST = 8;

type Parameters = Pick<Tile, "vectors" | "slices">;

const tileOf = (problem: BlockProblem, p: Parameters): Tile => ({ ...p, rows: blockGeometry(problem).M, lanes: 1 });

export default defineStrategy({
  op: operatorNamed<typeof matMulNBits>("MatMulNBits"),
  name: "stream",
  params: { slices: [1, 16], vectors: [2, 1] },
  supports(problem, limits, p) {
    const { M } = blockGeometry(problem);
    return firstReason(
      (M >= 1 && M <= MOST) || `${M} rows, not 1 to ${MOST}`,
      register.supports(problem, limits, tileOf(problem, p)),
    );
  },
  dispatch: (problem, p) => register.dispatch(problem, tileOf(problem, p)),
  uniforms: (problem) => register.uniforms(problem),
  source: (problem, p) => register.source(problem, tileOf(problem, p)),
  trafficBytes: (problem, p) => register.trafficBytes(problem, tileOf(problem, p)),
  barriers: (problem, p) => register.barriers(problem, tileOf(problem, p)),
  busyInvocations: (problem, p) => register.busyInvocations(problem, tileOf(problem, p)),
  intensity: (problem, p) => register.intensity(problem, tileOf(problem, p)),
});
