import naive from "./naive.ts";
import vec4 from "./vec4.ts";

export default [naive, vec4];
