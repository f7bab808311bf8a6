import { gather, gatherElements, gatherND } from "./naive.ts";

export default [gather, gatherElements, gatherND];
