import composed from "./composed.ts";
import flash from "./flash.ts";
import naive from "./naive.ts";
import rows from "./rows.ts";
import workgroupRow from "./workgroupRow.ts";

export default [naive, rows, flash, workgroupRow, composed];
