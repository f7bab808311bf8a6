import type { argMax, argMin } from "../../src/ops/argMax.ts";
import { operatorNamed } from "../strategy.ts";
import naive from "./naive.ts";
import workgroup from "./workgroup.ts";

export default [naive, workgroup].flatMap((strategy) => [
  strategy(operatorNamed<typeof argMax>("ArgMax"), false),
  strategy(operatorNamed<typeof argMin>("ArgMin"), true),
]);
