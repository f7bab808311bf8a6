import naive from "./naive.ts";

export default [naive];
