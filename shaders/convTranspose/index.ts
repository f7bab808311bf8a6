import gatherRegister from "./gatherRegister.ts";
import naive from "./naive.ts";

export default [naive, gatherRegister];
