import naive from "./naive.ts";
import { variants } from "./rows.ts";
import workgroup from "./workgroup.ts";

export default [naive, workgroup].flatMap((strategy) => variants.map(strategy));
