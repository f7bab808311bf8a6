import naive from "./naive.ts";
import registerTile from "./registerTile.ts";
import stream from "./stream.ts";

export default [naive, stream, registerTile];
