import { hasManyWeights } from "../common/convWindow.ts";
import type { Special } from "../strategy.ts";
import gatherRegister from "./gatherRegister.ts";
import naive from "./naive.ts";

export default [naive, gatherRegister];

export const special: readonly Special[] = [
  [({ inputs }) => hasManyWeights(inputs[1]!), () => import("./col2im.ts")],
  [({ inputs }) => hasManyWeights(inputs[1]!), () => import("./subpixel.ts")],
];
