// Axes in another order.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sizeOf, stridesOf, type Shape } from "../core/shape.ts";
import { requireInputs } from "./check.ts";
import { defineOperator, type Builder, type Operand, type Operator } from "./operator.ts";
import { unaryShapes } from "./pointwise.ts";
import { reshapeTo } from "./reshape.ts";

export type TransposeAttributes = {
  /** Axis i of the result is axis perm[i] of the input; [] reverses all axes. */
  readonly perm: readonly number[];
};

/** The permutation in full. Throws {@link ShapeError} unless it names each axis of `shape` once. */
export function permutationOf(shape: Shape, perm: readonly number[]): readonly number[] {
  const rank = shape.length;
  if (perm.length === 0) return Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
  const complete = perm.length === rank && shape.every((_, axis) => perm.includes(axis));
  if (!complete)
    throw new ShapeError(`Transpose: perm ${formatShape(perm)} does not name each axis of ${formatShape(shape)} once`);
  return perm;
}

/** Transpose (ONNX): data [..] with its axes permuted. Any element type; exact. Throws ShapeError on a bad `perm`. */
export const transpose: Operator<TransposeAttributes> = defineOperator<TransposeAttributes>({
  name: "Transpose",
  inputs: ["data"],
  outputs: ["transposed"],
  attributes: { perm: [] },
  infer: (inputs, { perm }) => {
    const [data] = requireInputs("Transpose", ["data"], inputs);
    return [{ dtype: data!.dtype, shape: permutationOf(data!.shape, perm).map((axis) => data!.shape[axis]!) }];
  },
  reference: ([data], { attributes, outputs }) => {
    const { shape } = outputs[0]!;
    const strides = stridesOf(data!.shape);
    const perm = permutationOf(data!.shape, attributes.perm);
    const values = new Float64Array(sizeOf(shape));
    for (let index = 0; index < values.length; index++) {
      let rest = index;
      let from = 0;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        from += (rest % shape[axis]!) * strides[perm[axis]!]!;
        rest = Math.floor(rest / shape[axis]!);
      }
      values[index] = data!.data[from]!;
    }
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  gradient: ({ build, attributes, inputs: [data], outputGradients: [gradient] }) => {
    const perm = permutationOf(data!.shape, attributes.perm);
    return [build.apply(transpose, [gradient], { perm: perm.map((_, axis) => perm.indexOf(axis)) })];
  },
  flops: () => 0,
  cases: [
    ...unaryShapes.map((shape) => ({ inputs: [shape] })),
    { inputs: [[65, 33]] },
    { inputs: [[1, 257]] },
    { inputs: [[33, 65]], attributes: { perm: [0, 1] }, why: "nothing moves" },
    { inputs: [[2, 3, 5]], attributes: { perm: [0, 2, 1] } },
    { inputs: [[2, 3, 5]], attributes: { perm: [1, 0, 2] }, why: "the inner axis stays" },
    { inputs: [[2, 3, 4, 5]], attributes: { perm: [0, 2, 3, 1] }, why: "NCHW to NHWC" },
    { inputs: [[2, 4, 5, 3]], attributes: { perm: [0, 3, 1, 2] }, why: "NHWC to NCHW" },
    { inputs: [[17, 3, 35]], attributes: { perm: [2, 0, 1] } },
    { inputs: [[2, 3, 2, 3, 2]], attributes: { perm: [4, 1, 3, 0, 2] } },
    { inputs: [[3, 0, 2]], attributes: { perm: [1, 2, 0] } },
    { inputs: [{ shape: [7, 5], dtype: "int32" }] },
    { inputs: [{ shape: [5, 7], dtype: "bool" }] },
  ],
});

/** Applies Transpose, or Reshape where no element moves: only extents of 1 change places. */
export function permute(build: Builder, x: Operand, perm: readonly number[]): Operand {
  const order = permutationOf(x.shape, perm);
  const moving = order.filter((axis) => x.shape[axis] !== 1);
  const stays = moving.every((axis, i) => i === 0 || axis > moving[i - 1]!);
  if (!stays) return build.apply(transpose, [x], { perm: order });
  return reshapeTo(
    build,
    x,
    order.map((axis) => x.shape[axis]!),
  );
}
