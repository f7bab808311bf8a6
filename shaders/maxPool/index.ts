import naive from "./naive.ts";
import unrolled from "./unrolled.ts";

export default [naive, unrolled];
