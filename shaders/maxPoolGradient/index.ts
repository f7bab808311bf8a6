import blocks from "./blocks.ts";
import naive from "./naive.ts";

export default [blocks, naive];
