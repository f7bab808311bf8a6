import naive from "./naive.ts";
import subgroup from "./subgroup.ts";
import welford from "./welford.ts";
import workgroup from "./workgroup.ts";

export default [naive, welford, workgroup, subgroup];
