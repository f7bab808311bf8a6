// AveragePool, LpPool and the gradient of a mean, which serves both. Means count the padding or not; norms need no count.

import { isFloat } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { formatShape, formatType, type TensorType } from "../core/shape.ts";
import { tensorData } from "../core/tensorData.ts";
import { div, equal, mul } from "./binary.ts";
import { requireInputs } from "./check.ts";
import { defineOperator, summationBound, type Operator, type OperatorCase } from "./operator.ts";
import { poolCases, type PoolCase } from "./poolCases.ts";
import {
  checkPooled,
  coveringWindows,
  planeSize,
  pooledShape,
  poolDefaults,
  poolFlops,
  poolGeometry,
  windowCounts,
  windowsOf,
  windowSize,
  type PoolAttributes,
} from "./poolGeometry.ts";
import { pow } from "./pow.ts";
import { scalar } from "./scalar.ts";
import { abs, sign } from "./magnitude.ts";
import { where } from "./where.ts";
import { checkSpatialRank } from "./window.ts";

/** Attributes of {@link averagePool}. */
export type AveragePoolAttributes = PoolAttributes & {
  /** 0 or 1: whether padding counts in a window's number of elements. */
  readonly count_include_pad: number;
};

/** Attributes of {@link averagePoolGradient}: those of the AveragePool, and the spatial extents of its input. */
export type AveragePoolGradientAttributes = AveragePoolAttributes & {
  readonly input_shape: readonly number[];
};

/** Attributes of {@link lpPool}. */
export type LpPoolAttributes = PoolAttributes & {
  /** Which norm: (Σ|x|ᵖ)^(1/p). */
  readonly p: number;
};

function floatInput(inputs: readonly (TensorType | undefined)[], name: string, who: string): TensorType {
  const [x] = requireInputs(who, [name], inputs);
  if (!isFloat(x!.dtype)) throw new DTypeError(`${who}: ${name} must be floating-point numbers, got ${formatType(x!)}`);
  return x!;
}

const countsPad = ({ count_include_pad }: AveragePoolAttributes): boolean => count_include_pad !== 0;

/** Mean of every window of X [N, C, …], over one to three spatial axes. Source: ONNX AveragePool (opset 22). */
export const averagePool: Operator<AveragePoolAttributes> = defineOperator<AveragePoolAttributes>({
  name: "AveragePool",
  inputs: ["X"],
  outputs: ["Y"],
  attributes: { ...poolDefaults, count_include_pad: 0 },

  infer(inputs, attributes) {
    const x = floatInput(inputs, "X", "AveragePool");
    return [{ dtype: x.dtype, shape: pooledShape(x.shape, attributes, "AveragePool") }];
  },

  reference([X], problem) {
    const g = poolGeometry(problem);
    const windows = windowsOf(g);
    const counts = windowCounts(g, countsPad(problem.attributes));
    const values = new Float64Array(g.planes * windows.length);
    const terms = new Float64Array(values.length);
    for (let plane = 0, index = 0; plane < g.planes; plane++)
      windows.forEach((places, window) => {
        let sum = 0;
        let sumTerms = 0;
        for (const place of places) {
          const value = X!.data[plane * planeSize(g) + place]!;
          sum += value;
          sumTerms += Math.abs(value);
        }
        values[index] = sum / counts[window]!;
        terms[index++] = sumTerms / counts[window]!;
      });
    return [{ values, terms }];
  },

  errorBound: (problem) => summationBound(windowSize(poolGeometry(problem))) + 3, // and a division
  flops: (problem) => poolFlops(poolGeometry(problem)),

  gradient({ build, attributes, inputs: [X], outputGradients: [dY] }) {
    if (!X || !dY) return [];
    return [build.apply(averagePoolGradient, [dY], { ...attributes, input_shape: X.shape.slice(2) })];
  },

  cases: [
    ...averageCases().map(({ x, window, ...why }) => ({ inputs: [x], attributes: window, ...why })),
    { inputs: [{ shape: [1, 2, 6, 7], dtype: "float16" }], attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] } },
  ],
});

/** {@link poolCases}, those with padding once more with the padding counted. */
function averageCases(): (PoolCase & { readonly window: Partial<AveragePoolAttributes> })[] {
  const padded = poolCases.filter(({ window }) => window.pads ?? window.auto_pad ?? window.ceil_mode);
  return [
    ...poolCases,
    ...padded.map(({ x, window, ...why }) => ({ x, window: { ...window, count_include_pad: 1 }, ...why })),
  ];
}

/** Gradient of AveragePool: dX [N, C, …input_shape] from dY, shaped as its output. ONNX has no such operator. */
export const averagePoolGradient: Operator<AveragePoolGradientAttributes> =
  defineOperator<AveragePoolGradientAttributes>({
    name: "AveragePoolGradient",
    inputs: ["dY"],
    outputs: ["dX"],
    attributes: { ...poolDefaults, count_include_pad: 0, input_shape: [] },

    infer(inputs, attributes) {
      const who = "AveragePoolGradient";
      const dy = floatInput(inputs, "dY", who);
      checkSpatialRank(dy.shape, who);
      if (attributes.input_shape.length !== dy.shape.length - 2)
        throw new ShapeError(
          `${who}: input_shape must give ${dy.shape.length - 2} extents, got ${formatShape(attributes.input_shape)}`,
        );
      const shape = [...dy.shape.slice(0, 2), ...attributes.input_shape];
      checkPooled(dy.shape, shape, attributes, who);
      return [{ dtype: dy.dtype, shape }];
    },

    reference([dY], problem) {
      const g = poolGeometry(problem);
      const windows = windowsOf(g);
      const counts = windowCounts(g, countsPad(problem.attributes));
      const values = new Float64Array(g.planes * planeSize(g));
      const terms = new Float64Array(values.length);
      for (let plane = 0, index = 0; plane < g.planes; plane++)
        windows.forEach((places, window) => {
          const share = dY!.data[index++]! / counts[window]!;
          for (const place of places) {
            values[plane * planeSize(g) + place]! += share;
            terms[plane * planeSize(g) + place]! += Math.abs(share);
          }
        });
      return [{ values, terms }];
    },

    errorBound: (problem) => summationBound(coveringWindows(poolGeometry(problem))) + 3,
    flops: (problem) => poolFlops(poolGeometry(problem)),

    // Linear in dY, and AveragePool is its transpose.
    gradient({ build, attributes, outputGradients: [G] }) {
      if (!G) return [];
      const { input_shape: _, ...window } = attributes;
      return [build.apply(averagePool, [G], window)];
    },

    cases: averageCases().map(
      ({ x, window, ...why }): OperatorCase<AveragePoolGradientAttributes> => ({
        inputs: [pooledShape(x, { ...poolDefaults, ...window }, "case")],
        attributes: { ...window, input_shape: x.slice(2) },
        ...why,
      }),
    ),
  });

/** p-norm of every window of X [N, C, …], over one to three spatial axes. Source: ONNX LpPool (opset 22). */
export const lpPool: Operator<LpPoolAttributes> = defineOperator<LpPoolAttributes>({
  name: "LpPool",
  inputs: ["X"],
  outputs: ["Y"],
  attributes: { ...poolDefaults, p: 2 },

  infer(inputs, attributes) {
    const x = floatInput(inputs, "X", "LpPool");
    if (!Number.isInteger(attributes.p) || attributes.p < 1)
      throw new ShapeError(`LpPool: p must be a positive integer, got ${attributes.p}`);
    return [{ dtype: x.dtype, shape: pooledShape(x.shape, attributes, "LpPool") }];
  },

  reference([X], problem) {
    const g = poolGeometry(problem);
    const { p } = problem.attributes;
    const windows = windowsOf(g);
    const values = new Float64Array(g.planes * windows.length);
    for (let plane = 0, index = 0; plane < g.planes; plane++)
      for (const places of windows) {
        let sum = 0;
        for (const place of places) sum += Math.abs(X!.data[plane * planeSize(g) + place]!) ** p;
        values[index++] = sum ** (1 / p);
      }
    return [{ values }];
  },

  errorBound(problem) {
    // Relative errors: of the sum of products of p factors, then a root that divides them by p and has its own.
    return summationBound(windowSize(poolGeometry(problem))) + 2 * problem.attributes.p + 8;
  },
  flops: (problem) => poolFlops(poolGeometry(problem)) * (1 + problem.attributes.p),

  // ∂y/∂x = sign(x)·|x|ᵖ⁻¹ / yᵖ⁻¹, summed over the windows that hold x: what the gradient of a mean does, its division undone.
  gradient({ build, attributes, inputs: [X], outputs: [Y], outputGradients: [dY] }) {
    if (!X || !Y || !dY) return [];
    const { p, ...window } = attributes;
    const count = windowCounts(poolGeometry({ inputs: [X], outputs: [Y], attributes }), false);
    const counts = build.constant(tensorData(count, [1, 1, ...Y.shape.slice(2)], Y.dtype));
    const power = scalar(build, p - 1, Y);
    const isZero = build.apply(equal, [Y, scalar(build, 0, Y)]);
    const divisor = build.apply(where, [isZero, scalar(build, 1, Y), build.apply(pow, [Y, power])]);
    const share = build.apply(div, [build.apply(mul, [dY, counts]), divisor]);
    const spread = build.apply(averagePoolGradient, [share], { ...window, input_shape: X.shape.slice(2) });
    const slope = build.apply(mul, [build.apply(sign, [X]), build.apply(pow, [build.apply(abs, [X]), power])]);
    return [build.apply(mul, [slope, spread])];
  },

  cases: [
    ...poolCases.map(({ x, window, ...why }) => ({ inputs: [x], attributes: window, ...why })),
    { inputs: [[2, 3, 7, 8]], attributes: { kernel_shape: [3, 2], p: 1 }, why: "sums of magnitudes" },
    { inputs: [[2, 3, 7, 8]], attributes: { kernel_shape: [3, 2], strides: [2, 1], p: 3 }, why: "cube roots" },
    { inputs: [[1, 2, 9]], attributes: { kernel_shape: [4], pads: [1, 2], p: 5 } },
    { inputs: [{ shape: [1, 2, 6, 7], dtype: "float16" }], attributes: { kernel_shape: [3, 3] } },
  ],
});
