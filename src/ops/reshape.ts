// The same elements in the same order under another shape: no kernel, the buffer is shared.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sameShape, sizeOf, type Shape } from "../core/shape.ts";
import { requireInputs } from "./check.ts";
import { defineOperator, type Builder, type Operand } from "./operator.ts";

export type ReshapeAttributes = {
  /** Target extents: -1 (once) is inferred; 0 copies the input's extent at that place unless `allowzero`. */
  readonly shape: readonly number[];
  /** 1: a 0 in `shape` is an extent of zero. */
  readonly allowzero: number;
};

/**
 * Reshape (ONNX, with the target shape as an attribute): data [..] → output of the same size. Any element type; exact.
 * Throws ShapeError when the sizes differ or `shape` is ambiguous.
 */
export const reshape = defineOperator<ReshapeAttributes>({
  name: "Reshape",
  inputs: ["data"],
  outputs: ["reshaped"],
  attributes: { shape: [], allowzero: 0 },
  infer: (inputs, attributes) => {
    const [data] = requireInputs("Reshape", ["data"], inputs);
    return [{ dtype: data!.dtype, shape: resolveShape(data!.shape, attributes) }];
  },
  reference: ([data]) => [{ values: Float64Array.from(data!.data), terms: new Float64Array(data!.data.length) }],
  errorBound: () => 0,
  gradient: ({ build, inputs: [data], outputGradients: [gradient] }) => [reshapeTo(build, gradient!, data!.shape)],
  flops: () => 0,
  minimumBytes: () => 0,
  cases: [
    { inputs: [[2, 3, 4]], attributes: { shape: [4, 6] } },
    { inputs: [[2, 3, 4]], attributes: { shape: [0, -1] } },
    { inputs: [[7]], attributes: { shape: [1, 7, 1] } },
    { inputs: [[1, 1]], attributes: { shape: [] } },
    { inputs: [[]], attributes: { shape: [1, -1] } },
    { inputs: [[0, 3]], attributes: { shape: [3, 0], allowzero: 1 } },
    { inputs: [{ shape: [5], dtype: "int32" }], attributes: { shape: [5, 1] } },
  ],
  alias: true,
});

function resolveShape(input: Shape, { shape, allowzero }: ReshapeAttributes): number[] {
  const fail = (why: string): never => {
    throw new ShapeError(`Reshape: cannot view ${formatShape(input)} as ${formatShape(shape)}: ${why}`);
  };
  const target = shape.map((extent, axis) => {
    if (!Number.isInteger(extent) || extent < -1) fail("extents must be integers of at least -1");
    if (extent !== 0 || allowzero === 1) return extent;
    return input[axis] ?? fail(`the 0 at place ${axis} has no extent to copy`);
  });
  const unknown = target.indexOf(-1);
  const size = sizeOf(input);
  if (unknown >= 0) {
    if (target.indexOf(-1, unknown + 1) >= 0) fail("-1 may stand once");
    const rest = sizeOf(target.filter((extent) => extent !== -1));
    if (rest === 0 ? size !== 0 : size % rest !== 0) fail(`${size} elements do not divide by ${rest}`);
    if (rest === 0) fail("-1 is ambiguous beside an extent of 0");
    target[unknown] = size / rest;
  }
  if (sizeOf(target) !== size) fail(`${size} elements, not ${sizeOf(target)}`);
  return target;
}

/** Applies Reshape unless `x` has that shape already; `shape` is taken as it stands. */
export function reshapeTo(build: Builder, x: Operand, shape: Shape): Operand {
  return sameShape(x.shape, shape) ? x : build.apply(reshape, [x], { shape, allowzero: 1 });
}

export type FlattenAttributes = {
  /** First axis of the second extent, in [-rank, rank]. */
  readonly axis: number;
};

/** Flatten (ONNX): [d0, …] → [d0·…·d(axis-1), d(axis)·…]; a Reshape once the graph is built. */
export const flatten = defineOperator<FlattenAttributes>({
  name: "Flatten",
  inputs: ["input"],
  outputs: ["output"],
  attributes: { axis: 1 },
  infer: (inputs, attributes) => {
    const [input] = requireInputs("Flatten", ["input"], inputs);
    return [{ dtype: input!.dtype, shape: flattenedShape(input!.shape, attributes) }];
  },
  reference: ([input]) => [{ values: Float64Array.from(input!.data), terms: new Float64Array(input!.data.length) }],
  errorBound: () => 0,
  flops: () => 0,
  minimumBytes: () => 0,
  cases: [
    { inputs: [[2, 3, 4]] },
    { inputs: [[2, 3, 4]], attributes: { axis: 0 } },
    { inputs: [[2, 3, 4]], attributes: { axis: -1 } },
    { inputs: [[2, 3]], attributes: { axis: 2 } },
    { inputs: [[]], attributes: { axis: 0 } },
  ],
  decompose: (build, [input], attributes) => [reshapeTo(build, input!, flattenedShape(input!.shape, attributes))],
});

function flattenedShape(shape: Shape, { axis }: FlattenAttributes): number[] {
  const rank = shape.length;
  if (!Number.isInteger(axis) || axis < -rank || axis > rank)
    throw new ShapeError(`Flatten: axis ${axis} is outside [-${rank}, ${rank}] of ${formatShape(shape)}`);
  const split = axis < 0 ? axis + rank : axis;
  return [sizeOf(shape.slice(0, split)), sizeOf(shape.slice(split))];
}
