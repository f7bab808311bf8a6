// MaxPool, and where the maxima lie.

import { dtypes, type DType } from "../core/dtype.ts";
import { DTypeError, ShapeError } from "../core/errors.ts";
import { formatType, type TensorType } from "../core/shape.ts";
import { requireInputs } from "./check.ts";
import { defineOperator, type Operator } from "./operator.ts";
import { poolCases } from "./poolCases.ts";
import {
  planeSize,
  pooledShape,
  poolDefaults,
  poolFlops,
  poolGeometry,
  windowsOf,
  type PoolAttributes,
  type PoolGeometry,
} from "./poolGeometry.ts";

/** Attributes of {@link maxPool}. */
export type MaxPoolAttributes = PoolAttributes & {
  /** Concerns the places of the maxima only: 0 counts them along the last axis first, 1 along the first spatial axis first. */
  readonly storage_order: number;
};

export const defaults: MaxPoolAttributes = { ...poolDefaults, storage_order: 0 };

/** What MaxPool gives for a window without a single input element (possible with dilation only): the lowest finite value. */
export const emptyMaximum = (dtype: DType): number => dtypes[dtype].low;

export function inferInput(
  inputs: readonly (TensorType | undefined)[],
  attributes: MaxPoolAttributes,
  who: string,
): TensorType {
  const [x] = requireInputs(who, ["X"], inputs);
  if (dtypes[x!.dtype].kind === "bool") throw new DTypeError(`${who}: X must hold numbers, got ${formatType(x!)}`);
  if (attributes.storage_order !== 0 && attributes.storage_order !== 1)
    throw new ShapeError(`${who}: storage_order must be 0 or 1, got ${attributes.storage_order}`);
  return { dtype: x!.dtype, shape: pooledShape(x!.shape, attributes, who) };
}

/** Place of the first maximum among `places` of the plane that starts at `start`; −1 if there are none. */
function argMax(x: ArrayLike<number>, start: number, places: readonly number[]): number {
  let best = -1;
  for (const place of places) if (best < 0 || x[start + place]! > x[best]!) best = start + place;
  return best;
}

/** The place of each window's first maximum in X. */
export function argMaxima(g: PoolGeometry, x: ArrayLike<number>): Float64Array {
  const windows = windowsOf(g);
  const maxima = new Float64Array(g.planes * windows.length);
  for (let plane = 0; plane < g.planes; plane++)
    windows.forEach((places, window) => {
      maxima[plane * windows.length + window] = argMax(x, plane * planeSize(g), places);
    });
  return maxima;
}

/** Maximum of every window of X [N, C, …], over one to three spatial axes. Source: ONNX MaxPool (opset 22), first output. */
export const maxPool: Operator<MaxPoolAttributes> = defineOperator<MaxPoolAttributes>({
  name: "MaxPool",
  inputs: ["X"],
  outputs: ["Y"],
  attributes: defaults,
  infer: (inputs, attributes) => [inferInput(inputs, attributes, "MaxPool")],

  reference([X], problem) {
    const values = argMaxima(poolGeometry(problem), X!.data).map((place) =>
      place < 0 ? emptyMaximum(X!.dtype) : X!.data[place]!,
    );
    return [{ values, terms: new Float64Array(values.length) }];
  },

  errorBound: () => 0,
  flops: (problem) => poolFlops(poolGeometry(problem)),

  gradient({ build, operators, attributes, inputs: [X], outputGradients: [dY] }) {
    if (!X || !dY) return [];
    return [build.apply(operators.maxPoolGradient, [X, dY], attributes)];
  },

  cases: [
    ...poolCases.map(({ x, window, ...why }) => ({ inputs: [x], attributes: window, ...why })),
    { inputs: [{ shape: [1, 2, 7, 9], dtype: "uint8" }], attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] } },
    { inputs: [{ shape: [1, 2, 6, 7], dtype: "float16" }], attributes: { kernel_shape: [3, 3] } },
    { inputs: [{ shape: [1, 2, 6, 8], dtype: "int8" }], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  ],
});
