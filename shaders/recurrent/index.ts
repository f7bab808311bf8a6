import naive from "./naive.ts";
import persistent from "./persistent.ts";
import step from "./step.ts";

export default [naive, persistent, step];
