import naive from "./naive.ts";
import registerTile from "./registerTile.ts";
import workgroupReduce from "./workgroupReduce.ts";

export default [naive, registerTile, workgroupReduce];
