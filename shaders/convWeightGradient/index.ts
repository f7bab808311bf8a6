import { hasManyWeights } from "../common/convWindow.ts";
import type { Special } from "../strategy.ts";
import naive from "./naive.ts";
import registerTile from "./registerTile.ts";
import workgroupReduce from "./workgroupReduce.ts";

export default [naive, registerTile, workgroupReduce];

export const special: readonly Special[] = [
  [({ outputs }) => hasManyWeights(outputs[0]!), () => import("./im2col.ts")],
];
