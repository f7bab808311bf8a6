import naive from "./naive.ts";
import tiled from "./tiled.ts";

export default [naive, tiled];
