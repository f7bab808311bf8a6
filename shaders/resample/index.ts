import gradientNaive from "./gradientNaive.ts";
import naive from "./naive.ts";

export default [naive, gradientNaive];
