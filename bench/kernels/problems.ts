// What the kernels are measured on: problems that networks have, by family (`matmul`, `conv` …), and for the regret of the
// scheduler's choice forty shapes of three families, drawn from a seed.

import { Random } from "../../src/core/random.ts";
import { formatShape, sizeOf, type Shape, type TensorType } from "../../src/core/shape.ts";
import * as operators from "../../src/ops/index.ts";
import type { Attributes, Operator } from "../../src/ops/operator.ts";

export interface BenchProblem {
  readonly family: string;
  readonly name: string;
  readonly operator: Operator;
  /** Shapes of the operands; undefined where one is left out. */
  readonly inputs: readonly (Shape | undefined)[];
  readonly attributes: Attributes;
  /** Type of all operands; float32 when left out. */
  readonly dtype?: "float32" | "float16";
  /** Operands whose values are known when a plan is made: weights. What depends on them alone costs no run anything. */
  readonly constants: readonly number[];
}

/** Any operator: what differs between them is in the problem. */
const byName = operators as unknown as Readonly<Record<string, Operator>>;

/** The operator with this ONNX name, in any case. Throws with those there are. */
export function operatorNamed(name: string): Operator {
  const all = Object.values(byName).filter((one) => typeof one === "object" && "infer" in one);
  const found = all.find((one) => one.name.toLowerCase() === name.toLowerCase());
  if (found) return found;
  throw new Error(`no operator is called ${name}; there are ${all.map((one) => one.name).join(", ")}`);
}

const WEIGHTS: Readonly<Record<string, readonly number[]>> = { conv: [1, 2], convTranspose: [1, 2] };

const problem = <A extends Attributes>(
  family: string,
  operator: Operator<A>,
  name: string,
  inputs: readonly (Shape | undefined)[],
  attributes: Attributes = {},
): BenchProblem => ({
  family,
  name,
  operator,
  inputs,
  attributes,
  constants: WEIGHTS[family] ?? [],
});

type Row = readonly [name: string, inputs: readonly (Shape | undefined)[], attributes?: Attributes];
const of =
  <A extends Attributes>(family: string, operator: Operator<A>) =>
  ([name, inputs, attributes]: Row): BenchProblem =>
    problem(family, operator, name, inputs, attributes);

const padded = (k: number): Attributes => ({ kernel_shape: [k, k], pads: Array<number>(4).fill(k >> 1) });
const square = (n: number): Shape[] => [
  [n, n],
  [n, n],
];

const matmulRows: readonly Row[] = [
  ["256³", square(256)],
  ["512³", square(512)],
  ["1×2048·2048²", [[1, 2048], [2048, 2048]]], // prettier-ignore
  ["64×400·(120×400)ᵀ", [[64, 400], [120, 400]], { transB: 1 }], // prettier-ignore
  ["64×784·784×512", [[64, 784], [784, 512]]], // prettier-ignore
  ["dW (64×120)ᵀ·64×400", [[64, 120], [64, 400]], { transA: 1 }], // prettier-ignore
  ["dW (64×10)ᵀ·64×84", [[64, 10], [64, 84]], { transA: 1 }], // prettier-ignore
  ["12 heads 128×64·64×128", [[12, 128, 64], [12, 64, 128]]], // prettier-ignore
  ["32×16384·16384×32", [[32, 16384], [16384, 32]]], // prettier-ignore
];

const convRows: readonly Row[] = [
  ["3×3 64→64 56²", [[1, 64, 56, 56], [64, 64, 3, 3]], padded(3)], // prettier-ignore
  ["1×1 256→256 28²", [[1, 256, 28, 28], [256, 256, 1, 1]]], // prettier-ignore
  ["depthwise 3×3 128 56²", [[1, 128, 56, 56], [128, 1, 3, 3]], { ...padded(3), group: 128 }], // prettier-ignore
  ["5×5 1→6 28² batch 64", [[64, 1, 28, 28], [6, 1, 5, 5], [6]], padded(5)],
  ["5×5 6→16 14² batch 64", [[64, 6, 14, 14], [16, 6, 5, 5], [16]], { kernel_shape: [5, 5] }],
  ["3×3 3→32 stride 2 112²", [[1, 3, 112, 112], [32, 3, 3, 3], [32]], { ...padded(3), strides: [2, 2] }],
  ["39 long 32→32 140", [[1, 32, 140], [32, 32, 39], [32]], { kernel_shape: [39], pads: [19, 19] }],
];

const rowShapes: readonly Row[] = [
  ["1024 rows of 1024", [[1024, 1024]]],
  ["65536 rows of 16", [[65536, 16]]],
  ["8 rows of 131072", [[8, 131072]]],
];
const over = (attributes: Attributes): Row[] => rowShapes.map(([name, inputs]) => [name, inputs, attributes]);

/** All problems, the heaviest families first. */
export const problems: readonly BenchProblem[] = [
  ...matmulRows.map(of("matmul", operators.matMul)),
  ...convRows.map(of("conv", operators.conv)),
  ...(
    [
      ["5×5 16→6 10² batch 64", [[64, 16, 10, 10], [16, 6, 5, 5]], { kernel_shape: [5, 5] }], // prettier-ignore
      ["3×3 stride 2 32→32 28²", [[1, 32, 28, 28], [32, 32, 3, 3]], { kernel_shape: [3, 3], strides: [2, 2] }], // prettier-ignore
    ] satisfies Row[]
  ).map(of("convTranspose", operators.convTranspose)),
  ...(
    [
      ["5×5 6→16 14² batch 64", [[64, 6, 14, 14], [64, 16, 10, 10]], { kernel_shape: [5, 5] }], // prettier-ignore
      ["3×3 8→16 14² batch 64", [[64, 8, 14, 14], [64, 16, 14, 14]], padded(3)], // prettier-ignore
    ] satisfies Row[]
  ).map(of("convWeightGradient", operators.convWeightGradient)),
  ...over({ axes: [1] }).map(of("reduce", operators.reduceSum)),
  of("reduce", operators.reduceSum)(["columns of 1024×1024", [[1024, 1024]], { axes: [0] }]),
  of("reduce", operators.reduceMax)(["all of 2²⁰", [[2 ** 20]], { axes: [0] }]),
  ...over({ axis: 1 }).map(of("softmax", operators.softmax)),
  ...over({ axes: [1], epsilon: 1e-5 }).map(of("normalize", operators.standardization)),
  ...(
    [
      ["2×2 16 channels 56² batch 16", [[16, 16, 56, 56]], { kernel_shape: [2, 2], strides: [2, 2] }],
      ["3×3 64 channels 56²", [[1, 64, 56, 56]], { ...padded(3), strides: [2, 2] }],
    ] satisfies Row[]
  ).map(of("pool", operators.maxPool)),
  of("transpose", operators.transpose)(["1024×1024", [[1024, 1024]], { perm: [1, 0] }]),
  of("transpose", operators.transpose)(["NCHW → NHWC 64×56²", [[1, 64, 56, 56]], { perm: [0, 2, 3, 1] }]),
  of("pointwise", operators.add)(["a + b, 2²² each", [[2 ** 22], [2 ** 22]]]), // prettier-ignore
  of("pointwise", operators.relu)(["relu 2²²", [[2 ** 22]]]),
];

/** What keeps a GPU busy, for those that have one. */
export const heavyProblems: readonly BenchProblem[] = [
  ...[1024, 2048, 4096].map((n) => of("matmul", operators.matMul)([`${n}³`, square(n)])),
  of("conv", operators.conv)(["3×3 256→256 56² batch 8", [[8, 256, 56, 56], [256, 256, 3, 3]], padded(3)]), // prettier-ignore
  of("conv", operators.conv)(["1×1 512→512 28² batch 32", [[32, 512, 28, 28], [512, 512, 1, 1]]]), // prettier-ignore
  of("conv", operators.conv)(["7×7 3→64 stride 2 224² batch 16", [[16, 3, 224, 224], [64, 3, 7, 7]], { ...padded(7), strides: [2, 2] }]), // prettier-ignore
  of("reduce", operators.reduceSum)(["4096 rows of 8192", [[4096, 8192]], { axes: [1] }]),
  of("softmax", operators.softmax)(["4096 rows of 8192", [[4096, 8192]], { axis: 1 }]),
  of("transpose", operators.transpose)(["4096×4096", [[4096, 4096]], { perm: [1, 0] }]),
  of("pointwise", operators.add)(["a + b, 2²⁵ each", [[2 ** 25], [2 ** 25]]]), // prettier-ignore
  of("pointwise", operators.relu)(["relu 2²⁵", [[2 ** 25]]]),
];

export const families: readonly string[] = [...new Set(problems.map(({ family }) => family))];

/** The problem's types; throws what the operator says to shapes that do not fit. */
export function typesOf({ operator, inputs, attributes: given, dtype = "float32" }: BenchProblem): {
  readonly inputs: readonly (TensorType | undefined)[];
  readonly outputs: readonly TensorType[];
  readonly attributes: Attributes;
} {
  const types = inputs.map((shape) => shape && { dtype, shape });
  const attributes = { ...operator.attributes, ...given };
  return { inputs: types, outputs: operator.infer(types, attributes), attributes };
}

/**
 * A problem written on the command line: operands' extents, then attributes. `512x512,512x512` for a product,
 * `1x64x56x56,64x64x3x3;pads=1x1x1x1` for a convolution; `-` leaves an operand out.
 */
export function parseShape(family: string, text: string): BenchProblem {
  const [operands = "", ...settings] = text.split(";");
  const sample = problems.find((one) => one.family === family);
  const operator = sample?.operator ?? operatorNamed(family);
  const numbers = (list: string): number[] =>
    list.split("x").map((extent) => {
      const value = Number(extent);
      if (extent === "" || !Number.isFinite(value))
        throw new Error(`--shape ${text}: ${extent || "nothing"} is no number; write 512x512,512x512;transB=1`);
      return value;
    });
  const attributes = settings.map((setting): [string, number | number[]] => {
    const [key = "", value = ""] = setting.split("=");
    if (!(key in operator.attributes))
      throw new Error(`--shape ${text}: ${operator.name} has no attribute ${key}; it has ${Object.keys(operator.attributes).join(", ")}`); // prettier-ignore
    const values = numbers(value);
    return [key, Array.isArray(operator.attributes[key]) || values.length > 1 ? values : values[0]!];
  });
  const inputs = operands.split(",").map((extents) => (extents === "-" ? undefined : numbers(extents)));
  return problem(family, operator, text, inputs, Object.fromEntries(attributes));
}

/** Operations of a regret problem at most: a software adapter is to be done within minutes, a GPU to have something to do. */
const mostFlops = (isSoftware: boolean): number => (isSoftware ? 2 ** 24 : 2 ** 33);
/** Families of {@link regretProblems}. */
export const regretFamilies = ["matmul", "conv", "reduce"] as const;

/** `count` problems of a family, alike for everyone: extents spread over orders of magnitude, primes among them. */
export function regretProblems(family: string, count: number, isSoftware: boolean): BenchProblem[] {
  const random = new Random(1, family.length);
  /** Uniform in the logarithm; every third is odd. */
  const extent = (low: number, high: number): number => {
    const value = Math.round(low * (high / low) ** random.uniform());
    return random.uniform() < 0.33 ? value | 1 : value < 8 ? value : value & ~3;
  };
  const pick = <T>(...choices: readonly T[]): T => choices[Math.floor(random.uniform() * choices.length)]!;
  const scale = isSoftware ? 1 : 8;
  const make: Readonly<Record<string, () => BenchProblem>> = {
    matmul: () => {
      const [M, N, K] = [extent(1, 256 * scale), extent(8, 512 * scale), extent(8, 1024 * scale)];
      const transB = pick(0, 0, 1);
      const b = transB ? [N, K] : [K, N];
      return problem("matmul", operators.matMul, `${M}×${K}·${N}${transB ? "ᵀ" : ""}`, [[M, K], b], { transB }); // prettier-ignore
    },
    conv: () => {
      const k = pick(1, 3, 3, 5);
      const stride = pick(1, 1, 2);
      const C = extent(3, 32 * scale);
      const group = pick(1, 1, 1, C);
      const O = group === 1 ? extent(4, 32 * scale) : C;
      const size = extent(7, 28 * scale);
      const N = pick(1, 1, 8);
      const name = `${k}×${k} ${C}→${O} ${size}² stride ${stride}${N > 1 ? ` batch ${N}` : ""}${group > 1 ? " depthwise" : ""}`; // prettier-ignore
      const inputs = [[N, C, size, size], [O, C / group, k, k], [O]]; // prettier-ignore
      return problem("conv", operators.conv, name, inputs, { ...padded(k), strides: [stride, stride], group });
    },
    reduce: () => {
      const [rows, columns] = [extent(1, 4096 * scale), extent(2, 4096 * scale)];
      const axis = pick(1, 1, 0);
      const shape = [rows, columns];
      return problem("reduce", operators.reduceSum, `${formatShape(shape)} axis ${axis}`, [shape], { axes: [axis] });
    },
  };
  const found: BenchProblem[] = [];
  while (found.length < count) {
    const next = make[family]!();
    const types = typesOf(next);
    const elements = types.inputs.reduce((sum, type) => sum + (type ? sizeOf(type.shape) : 0), 0);
    if (next.operator.flops(types) <= mostFlops(isSoftware) && elements <= mostFlops(isSoftware) / 4) found.push(next);
  }
  return found;
}
