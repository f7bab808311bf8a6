// Pooling over whole planes: compositions of reductions over all spatial axes, which stay with extent 1.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sizeOf, type TensorType } from "../core/shape.ts";
import { lpPool } from "./averagePool.ts";
import { requireInputs } from "./check.ts";
import {
  defineOperator,
  summationBound,
  type Attributes,
  type Builder,
  type CaseInput,
  type Operand,
  type Operator,
  type OperatorCase,
} from "./operator.ts";
import { reduceMax, reduceMean } from "./reduce.ts";
import { reduceL1 } from "./reduceSums.ts";
import { reduceL2 } from "./reduceComposed.ts";

interface GlobalPool<A extends Attributes> {
  readonly name: string;
  readonly attributes: A;
  /** One plane's result, and the magnitude its rounding errors scale with. */
  readonly pool: (plane: ArrayLike<number>, attributes: A) => readonly [value: number, terms: number];
  readonly errorBound: (area: number, attributes: A) => number;
  readonly decompose: (build: Builder, X: Operand, axes: readonly number[], attributes: A) => Operand;
  readonly cases?: readonly OperatorCase<A>[];
}

const shapes: readonly { input: CaseInput; why?: string }[] = [
  { input: [1, 1, 1, 1] },
  { input: [2, 3, 5, 7] },
  { input: [2, 65, 7, 7] },
  { input: [1, 2, 33, 65], why: "long sums" },
  { input: [2, 3, 9], why: "one spatial axis" },
  { input: [2, 3, 2, 3, 4], why: "three spatial axes" },
  { input: [0, 3, 4, 4], why: "empty batch" },
];

/* @__NO_SIDE_EFFECTS__ */
function defineGlobalPool<A extends Attributes>(pool: GlobalPool<A>): Operator<A> {
  const { name } = pool;
  const area = ({ shape }: TensorType): number => sizeOf(shape.slice(2));
  return defineOperator<A>({
    name,
    inputs: ["X"],
    outputs: ["Y"],
    attributes: pool.attributes,

    infer(inputs) {
      const [x] = requireInputs(name, ["X"], inputs);
      if (x!.shape.length < 3)
        throw new ShapeError(
          `${name}: X must be [N, C, …] with at least one spatial axis, got ${formatShape(x!.shape)}`,
        );
      return [{ dtype: x!.dtype, shape: x!.shape.map((extent, axis) => (axis < 2 ? extent : 1)) }];
    },

    reference([X], { outputs, attributes }) {
      const values = new Float64Array(sizeOf(outputs[0]!.shape));
      const terms = new Float64Array(values.length);
      for (let plane = 0; plane < values.length; plane++)
        [values[plane], terms[plane]] = pool.pool(
          X!.data.subarray(plane * area(X!), (plane + 1) * area(X!)),
          attributes,
        ) as [number, number];
      return [{ values, terms }];
    },

    errorBound: ({ inputs, attributes }) => pool.errorBound(area(inputs[0]!), attributes),
    flops: ({ inputs }) => sizeOf(inputs[0]!.shape),

    decompose(build, [X], attributes) {
      const axes = X!.shape.map((_, axis) => axis).slice(2);
      return [pool.decompose(build, X!, axes, attributes)];
    },

    cases: [...shapes.map(({ input, ...why }) => ({ inputs: [input], ...why })), ...(pool.cases ?? [])],
  });
}

/** Mean over all spatial axes of X [N, C, …]. Source: ONNX GlobalAveragePool (opset 22). */
export const globalAveragePool = defineGlobalPool<Readonly<Record<string, never>>>({
  name: "GlobalAveragePool",
  attributes: {},
  pool(plane) {
    let sum = 0;
    let terms = 0;
    for (let i = 0; i < plane.length; i++) {
      sum += plane[i]!;
      terms += Math.abs(plane[i]!);
    }
    return [sum / plane.length, terms / plane.length];
  },
  errorBound: (area) => summationBound(area) + 3,
  decompose: (build, X, axes) => build.apply(reduceMean, [X], { axes, keepdims: 1 }),
});

/** Maximum over all spatial axes of X [N, C, …]. Source: ONNX GlobalMaxPool (opset 22). */
export const globalMaxPool = defineGlobalPool<Readonly<Record<string, never>>>({
  name: "GlobalMaxPool",
  attributes: {},
  pool(plane) {
    let highest = -Infinity;
    for (let i = 0; i < plane.length; i++) highest = Math.max(highest, plane[i]!);
    return [highest, 0];
  },
  errorBound: () => 0,
  decompose: (build, X, axes) => build.apply(reduceMax, [X], { axes, keepdims: 1 }),
});

/** p-norm over all spatial axes of X [N, C, …]. Source: ONNX GlobalLpPool (opset 22). */
export const globalLpPool = defineGlobalPool<{ readonly p: number }>({
  name: "GlobalLpPool",
  attributes: { p: 2 },
  pool(plane, { p }) {
    let sum = 0;
    for (let i = 0; i < plane.length; i++) sum += Math.abs(plane[i]!) ** p;
    return [sum ** (1 / p), sum ** (1 / p)];
  },
  errorBound: (area, { p }) => summationBound(area) + 2 * p + 8,
  decompose(build, X, axes, { p }) {
    // A sum can be shared out among many invocations; the general norm, which nobody uses, is one window.
    if (p === 1) return build.apply(reduceL1, [X], { axes, keepdims: 1 });
    if (p === 2) return build.apply(reduceL2, [X], { axes, keepdims: 1 });
    return build.apply(lpPool, [X], { kernel_shape: X.shape.slice(2), p });
  },
  cases: [
    { inputs: [[2, 3, 5, 7]], attributes: { p: 1 } },
    { inputs: [[2, 3, 5, 7]], attributes: { p: 3 } },
  ],
});
