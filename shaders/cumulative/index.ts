import type { cumProd, cumSum } from "../../src/ops/cumulative.ts";
import { operatorNamed } from "../strategy.ts";
import naive from "./naive.ts";
import tileScan from "./tileScan.ts";

export default [naive, tileScan].flatMap((strategy) => [
  strategy(operatorNamed<typeof cumSum>("CumSum"), "+", 0),
  strategy(operatorNamed<typeof cumProd>("CumProd"), "*", 1),
]);
