import naive from "./naive.ts";
import workgroup from "./workgroup.ts";

export default [naive, workgroup];
