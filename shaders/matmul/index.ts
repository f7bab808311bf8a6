import naive from "./naive.ts";
import registerTile from "./registerTile.ts";
import tiled from "./tiled.ts";
import tiledRegister from "./tiledRegister.ts";

export default [naive, tiled, registerTile, tiledRegister];
