import { gatherGradient, scatterElements, scatterND } from "./naive.ts";

export default [gatherGradient, scatterElements, scatterND];
