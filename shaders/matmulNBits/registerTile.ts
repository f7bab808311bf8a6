// Many rows against packed weights: eight rows share what unpacking a word costs. See register.ts for how.

import type { matMulNBits } from "../../src/ops/matMulNBits.ts";
import { QUAD } from "../common/quads.ts";
import { defineStrategy, operatorNamed } from "../strategy.ts";
import { register, type Tile } from "./register.ts";

type Parameters = Pick<Tile, "rows" | "lanes">;

const tileOf = (p: Parameters): Tile => ({ ...p, vectors: 1, slices: 1 });

export default defineStrategy({
  op: operatorNamed<typeof matMulNBits>("MatMulNBits"),
  name: "registerTile",
  params: { lanes: [QUAD, 1], rows: [8, 16] },
  supports: (problem, limits, p) => register.supports(problem, limits, tileOf(p)),
  dispatch: (problem, p) => register.dispatch(problem, tileOf(p)),
  uniforms: (problem) => register.uniforms(problem),
  source: (problem, p) => register.source(problem, tileOf(p)),
  trafficBytes: (problem, p) => register.trafficBytes(problem, tileOf(p)),
  busyInvocations: (problem, p) => register.busyInvocations(problem, tileOf(p)),
  intensity: (problem, p) => register.intensity(problem, tileOf(p)),
});
