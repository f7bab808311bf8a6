// Repeating a tensor. [d] repeated r times is [r, d] stretched from [1, d], so that a Tile is an Expand between two Reshapes:
// it has no kernel, and joins pointwise neighbours.

import { ShapeError } from "../core/errors.ts";
import { formatShape, stridesOf, type Shape } from "../core/shape.ts";
import { requireInputs } from "./check.ts";
import { expandTo } from "./expand.ts";
import { defineOperator } from "./operator.ts";
import { gatherByAxis } from "./rearrange.ts";
import { reshapeTo } from "./reshape.ts";

export type TileAttributes = {
  /** How often each axis is repeated; one number an axis. */
  readonly repeats: readonly number[];
};

function tiledShape(shape: Shape, { repeats }: TileAttributes): number[] {
  if (repeats.length !== shape.length || !repeats.every((times) => Number.isInteger(times) && times >= 0))
    throw new ShapeError(
      `Tile: repeats [${repeats.join(", ")}] must be ${shape.length} numbers of at least 0, one for each axis of ${formatShape(shape)}`,
    );
  return shape.map((extent, axis) => extent * repeats[axis]!);
}

/** Tile (ONNX, with repeats as an attribute): input [..] repeated along every axis. Any element type; exact. */
export const tile = defineOperator<TileAttributes>({
  name: "Tile",
  inputs: ["input"],
  outputs: ["output"],
  attributes: { repeats: [] },
  infer: (inputs, attributes) => {
    const [input] = requireInputs("Tile", ["input"], inputs);
    return [{ dtype: input!.dtype, shape: tiledShape(input!.shape, attributes) }];
  },
  reference: ([input], { outputs }) => {
    const strides = stridesOf(input!.shape);
    const places = outputs[0]!.shape.map((extent, axis) =>
      Array.from({ length: extent }, (_, c) => (c % input!.shape[axis]!) * strides[axis]!),
    );
    const values = gatherByAxis(input!.data, places);
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  flops: () => 0,
  cases: [
    { inputs: [[]] },
    { inputs: [[1]], attributes: { repeats: [65] } },
    { inputs: [[3]], attributes: { repeats: [5] } },
    { inputs: [[2, 3]], attributes: { repeats: [2, 1] } },
    { inputs: [[2, 3, 5]], attributes: { repeats: [1, 3, 2] } },
    { inputs: [[2, 1, 3, 1]], attributes: { repeats: [2, 4, 1, 3] } },
    { inputs: [[2, 3]], attributes: { repeats: [0, 2] }, why: "no copy at all" },
    { inputs: [[0, 3]], attributes: { repeats: [2, 2] } },
    { inputs: [[2, 1, 2, 1, 2, 1, 2, 1]], attributes: { repeats: [1, 2, 2, 1, 2, 1, 1, 2] } },
    { inputs: [{ shape: [2, 2], dtype: "int64" }], attributes: { repeats: [2, 2] } },
  ],
  decompose: (build, [input], attributes) => {
    const { shape } = input!;
    const repeated = tiledShape(shape, attributes);
    // An axis needs one of its own to be repeated along, unless it is of extent 1: that is stretched as it stands.
    const copied = shape.map((extent, axis) => extent !== 1 && attributes.repeats[axis] !== 1);
    const split = shape.flatMap((extent, axis) => (copied[axis] ? [1, extent] : [extent]));
    const stretched = shape.flatMap((extent, axis) =>
      copied[axis] ? [attributes.repeats[axis]!, extent] : [repeated[axis]!],
    );
    return [reshapeTo(build, expandTo(build, reshapeTo(build, input!, split), stretched), repeated)];
  },
});
