import naive from "./naive.ts";
import { reducers } from "./reduction.ts";
import rowVec4 from "./rowVec4.ts";
import workgroupTree from "./workgroupTree.ts";

export default [naive, workgroupTree, rowVec4].flatMap((strategy) => reducers.map(strategy));
