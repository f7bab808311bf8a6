// Every kernel family, by the name of the operator it runs. A family loads when a plan first needs it, so a page pays only
// for what its network uses.

import { UnsupportedError } from "../src/core/errors.ts";
import { sizeOf } from "../src/core/shape.ts";
import type { Problem } from "../src/ops/operator.ts";
import type { AnyStrategy } from "./strategy.ts";

/** What a family's module exports. */
interface Family {
  readonly default: readonly AnyStrategy[];
}

const argMax = (): Promise<Family> => import("./argMax/index.ts");
const cumulative = (): Promise<Family> => import("./cumulative/index.ts");
const gather = (): Promise<Family> => import("./gather/index.ts");
const movement = (): Promise<Family> => import("./movement/index.ts");
const averagePool = (): Promise<Family> => import("./averagePool/index.ts");
const recurrent = (): Promise<Family> => import("./recurrent/index.ts");
const reduce = (): Promise<Family> => import("./reduce/index.ts");
const resample = (): Promise<Family> => import("./resample/index.ts");
const scatter = (): Promise<Family> => import("./scatter/index.ts");
const softmax = (): Promise<Family> => import("./softmax/index.ts");

/** Operator name → the module that lists its strategies; one module may serve several operators. */
export const families: Readonly<Record<string, (problems?: readonly Problem[]) => Promise<Family>>> = {
  ArgMax: argMax,
  ArgMin: argMax,
  AveragePool: averagePool,
  AveragePoolGradient: averagePool,
  Col2Im: movement,
  Concat: movement,
  Conv: conv,
  ConvTranspose: () => import("./convTranspose/index.ts"),
  ConvWeightGradient: () => import("./convWeightGradient/index.ts"),
  DeformConv: () => import("./deformConv/index.ts"),
  CumProd: cumulative,
  CumSum: cumulative,
  Gather: gather,
  GatherElements: gather,
  GatherGradient: scatter,
  GatherND: gather,
  GridSample: () => import("./gridSample/index.ts"),
  LinearAttention: () => import("./linearAttention/index.ts"),
  LogSoftmax: softmax,
  LpPool: averagePool,
  MatMul: () => import("./matmul/index.ts"),
  MaxPool: () => import("./maxPool/index.ts"),
  MaxPoolGradient: () => import("./maxPoolGradient/index.ts"),
  MaxPoolIndices: () => import("./maxPoolIndices/index.ts"),
  Pad: movement,
  PhiloxUniform: () => import("./philoxUniform/index.ts"),
  Pointwise: () => import("./pointwise/index.ts"),
  RecurrentSequence: recurrent,
  RecurrentStep: recurrent,
  ReduceL1: reduce,
  ReduceMax: reduce,
  ReduceMean: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceSum: reduce,
  ReduceSumSquare: reduce,
  Resample: resample,
  ResampleGradient: resample,
  ReverseSequence: movement,
  Slice: movement,
  RoiAlign: () => import("./roiAlign/index.ts"),
  ScatterElements: scatter,
  ScatterND: scatter,
  Softmax: softmax,
  Standardization: () => import("./standardization/index.ts"),
  TopK: () => import("./topK/index.ts"),
  Transpose: () => import("./transpose/index.ts"),
};

/** Strategies for kinds of convolution that not every network has come only where one does. */
async function conv(problems?: readonly Problem[]): Promise<Family> {
  const isAnywhere = (isKind: (problem: Problem) => boolean): boolean => problems?.some(isKind) ?? true;
  const loading: Promise<{ readonly default: AnyStrategy | readonly AnyStrategy[] }>[] = [import("./conv/index.ts")];
  if (isAnywhere(({ inputs }) => sizeOf(inputs[1]!.shape.slice(2)) === 1)) loading.push(import("./conv/pointwise.ts"));
  if (isAnywhere(({ attributes }) => attributes["group"] !== 1)) loading.push(import("./conv/depthwise.ts"));
  return { default: (await Promise.all(loading)).flatMap((family) => family.default) };
}

/**
 * The strategies of one operator, as its folder lists them; of those that only some problems can use, the ones that
 * `problems` need, or all. Throws {@link UnsupportedError} when there is none.
 */
export async function loadStrategies(
  operatorName: string,
  problems?: readonly Problem[],
): Promise<readonly AnyStrategy[]> {
  const load = Object.hasOwn(families, operatorName) ? families[operatorName] : undefined;
  const strategies = ((await load?.(problems))?.default ?? []).filter(({ operator }) => operator === operatorName);
  if (strategies.length === 0) throw new UnsupportedError(`${operatorName}: no kernel runs this operator on a GPU`);
  return strategies;
}
