// Every kernel family, by the name of the operator it runs. A family loads when a plan first needs it, so a page pays only
// for what its network uses.

import { UnsupportedError } from "../src/core/errors.ts";
import type { AnyStrategy } from "./strategy.ts";

/** What a family's module exports. */
interface Family {
  readonly default: readonly AnyStrategy[];
}

const pool = (): Promise<Family> => import("./pool/index.ts");
const reduce = (): Promise<Family> => import("./reduce/index.ts");
const softmax = (): Promise<Family> => import("./softmax/index.ts");

/** Operator name → the module that lists its strategies; one module may serve several operators. */
export const families: Readonly<Record<string, () => Promise<{ default: readonly AnyStrategy[] }>>> = {
  AveragePool: pool,
  AveragePoolGradient: pool,
  Conv: () => import("./conv/index.ts"),
  ConvTranspose: () => import("./convTranspose/index.ts"),
  ConvWeightGradient: () => import("./convWeightGradient/index.ts"),
  LogSoftmax: softmax,
  MatMul: () => import("./matmul/index.ts"),
  MaxPool: pool,
  MaxPoolGradient: pool,
  PhiloxUniform: () => import("./philoxUniform/index.ts"),
  Pointwise: () => import("./pointwise/index.ts"),
  ReduceMax: reduce,
  ReduceMean: reduce,
  ReduceSum: reduce,
  Softmax: softmax,
  Transpose: () => import("./transpose/index.ts"),
};

/** The strategies of one operator, as its folder lists them. Throws {@link UnsupportedError} when there is none. */
export async function loadStrategies(operatorName: string): Promise<readonly AnyStrategy[]> {
  const load = Object.hasOwn(families, operatorName) ? families[operatorName] : undefined;
  const strategies = ((await load?.())?.default ?? []).filter(({ operator }) => operator === operatorName);
  if (strategies.length === 0) throw new UnsupportedError(`${operatorName}: no kernel runs this operator on a GPU`);
  return strategies;
}
