import naive from "./naive.ts";
import rounds from "./rounds.ts";

export default [naive, rounds];
