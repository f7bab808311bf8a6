import { sizeOf } from "../../src/core/shape.ts";
import type { Special } from "../strategy.ts";
import columnsVec4 from "./columnsVec4.ts";
import naive from "./naive.ts";
import { reducers } from "./reduction.ts";
import rowVec4 from "./rowVec4.ts";
import subgroup from "./subgroup.ts";
import workgroupTree from "./workgroupTree.ts";

export default [naive, workgroupTree, rowVec4, columnsVec4, subgroup].flatMap((strategy) => reducers.map(strategy));

export const special: readonly Special[] = [
  [
    ({ inputs: [data], outputs: [reduced] }) =>
      sizeOf(reduced!.shape) <= 64 && sizeOf(data!.shape) >= 2 ** 13 * sizeOf(reduced!.shape),
    () => import("./twoPass.ts"),
  ],
];
