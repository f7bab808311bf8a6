// The kernel families of the commonest operators, by the operator's name; those of all others are in shaders/rare.ts, which
// loads when a plan needs one of them. A family loads when a plan first needs it, so a page pays only for what its network uses.

import { UnsupportedError } from "../src/core/errors.ts";
import type { Problem } from "../src/ops/operator.ts";
import type { AnyRewrite, AnyStrategy, Special } from "./strategy.ts";

type Listed = AnyStrategy | AnyRewrite;

/** What a family's index exports. */
interface Family {
  /** Kernels that every problem can use, and rewrites. */
  readonly default: readonly Listed[];
  readonly special?: readonly Special[];
}

/** Operator name → the import of the index that lists its strategies; one index may serve several operators. */
export type Families = Readonly<Record<string, () => Promise<Family>>>;

const movement = (): Promise<Family> => import("./movement/index.ts");
const reduce = (): Promise<Family> => import("./reduce/index.ts");
const softmax = (): Promise<Family> => import("./softmax/index.ts");

const families: Families = {
  AveragePool: () => import("./averagePool/index.ts"),
  Concat: movement,
  Conv: () => import("./conv/index.ts"),
  LogSoftmax: softmax,
  MatMul: () => import("./matmul/index.ts"),
  MaxPool: () => import("./maxPool/index.ts"),
  Pad: movement,
  Pointwise: () => import("./pointwise/index.ts"),
  ReduceL1: reduce,
  ReduceMax: reduce,
  ReduceMean: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceSum: reduce,
  ReduceSumSquare: reduce,
  Slice: movement,
  Softmax: softmax,
  Standardization: () => import("./standardization/index.ts"),
  Transpose: () => import("./transpose/index.ts"),
};

const rare = (): Promise<{ default: Families }> => import("./rare.ts");

const loaded = new Map<() => Promise<unknown>, Promise<unknown>>();

/** What `load` imports: planning asks for it thousands of times, and each `import()` takes a task of a page's. */
function once<T>(load: () => Promise<T>): Promise<T> {
  let file = loaded.get(load) as Promise<T> | undefined;
  if (!file) {
    file = load();
    loaded.set(load, file);
    file.catch(() => loaded.delete(load)); // a page that was offline may try again
  }
  return file;
}

async function familyOf(operatorName: string): Promise<Family | undefined> {
  const table = Object.hasOwn(families, operatorName) ? families : (await once(rare)).default;
  return Object.hasOwn(table, operatorName) ? once(table[operatorName]!) : undefined;
}

async function listed(operatorName: string, problems?: readonly Problem[]): Promise<readonly Listed[]> {
  const family = await familyOf(operatorName);
  if (!family) return [];
  const wanted = family.special?.filter(([isKind]) => problems?.some(isKind) ?? true) ?? [];
  const files = await Promise.all(wanted.map(([, load]) => once(load)));
  return [family, ...files].flatMap((file) => file.default).filter(({ operator }) => operator === operatorName);
}

/** The names of all operators that have kernels. */
export async function operatorsWithKernels(): Promise<readonly string[]> {
  return Object.keys({ ...families, ...(await once(rare)).default });
}

/**
 * The strategies of one operator, as its folder lists them; of those that only some problems can use, the ones that
 * `problems` need, or all. Throws {@link UnsupportedError} when there is none.
 */
export async function loadStrategies(
  operatorName: string,
  problems?: readonly Problem[],
): Promise<readonly AnyStrategy[]> {
  const strategies = (await listed(operatorName, problems)).filter((one) => "source" in one);
  if (strategies.length === 0) throw new UnsupportedError(`${operatorName}: no kernel runs this operator on a GPU`);
  return strategies;
}

/** The rewrites of one operator, chosen in the same way; often none. */
export async function loadRewrites(
  operatorName: string,
  problems?: readonly Problem[],
): Promise<readonly AnyRewrite[]> {
  return (await listed(operatorName, problems)).filter((one) => "rewrite" in one);
}
