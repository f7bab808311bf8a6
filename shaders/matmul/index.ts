import { sizeOf } from "../../src/core/shape.ts";
import type { Problem } from "../../src/ops/operator.ts";
import type { Special } from "../strategy.ts";
import naive from "./naive.ts";

export default [naive];

export const special: readonly Special[] = [
  [isThin, () => import("./gemv.ts")],
  [isThin, () => import("./smallBatch.ts")],
  [isBroad, () => import("./registerTile.ts")],
  [isBroad, () => import("./subgroup.ts")],
  [isLarge, () => import("./tiled.ts")],
  [isLarge, () => import("./tiledRegister.ts")],
  // |A|·|B| / |Y| is K² of a single product.
  [
    ({ inputs: [a, b], outputs: [y] }) =>
      sizeOf(y!.shape) <= 2 ** 16 && sizeOf(a!.shape) * sizeOf(b!.shape) >= 512 ** 2 * sizeOf(y!.shape),
    () => import("./splitK.ts"),
  ],
];

/** Rows of a product, those of the batch counted in, and its columns. */
function extentsOf({ inputs: [, b], outputs: [y], attributes: { transB } }: Problem): [rows: number, columns: number] {
  const columns = b!.shape.length > 1 ? b!.shape.at(transB ? -2 : -1)! : 1;
  return [sizeOf(y!.shape) / (columns || 1), columns];
}

/** Products with few rows or columns. */
function isThin(problem: Problem): boolean {
  const own = problem.inputs[0]!.shape.at(problem.attributes["transA"] ? -1 : -2) ?? 1;
  return Math.min(own, ...extentsOf(problem)) <= 8;
}

function isBroad(problem: Problem): boolean {
  return Math.min(...extentsOf(problem)) > 3;
}

/** Products of several of a GPU's blocks. */
function isLarge(problem: Problem): boolean {
  return isBroad(problem) && sizeOf(problem.outputs[0]!.shape) >= 64 ** 2;
}
