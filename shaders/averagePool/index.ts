import gradientNaive from "./gradientNaive.ts";
import lpNaive from "./lpNaive.ts";
import naive from "./naive.ts";

export default [gradientNaive, lpNaive, naive];
