import type { Special } from "../strategy.ts";
import naive from "./naive.ts";
import online from "./online.ts";
import { variants } from "./rows.ts";
import subgroup from "./subgroup.ts";
import workgroup from "./workgroup.ts";

export default [naive, online, workgroup, subgroup].flatMap((strategy) => variants.map(strategy));

export const special: readonly Special[] = [
  [
    ({ inputs: [input], attributes }) => input!.shape.at(Number(attributes["axis"]))! >= 2 ** 12,
    () => import("./composed.ts"),
  ],
];
