// The grid of an affine map, for GridSample: a product of theta with the positions of an evenly spaced grid.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import { storeValues } from "../core/dtype.ts";
import { formatInputs, requireDType, requireInputs } from "./check.ts";
import { matMul } from "./matmul.ts";
import { defineOperator, summationBound, type Operator } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";

export type AffineGridAttributes = {
  /** 1: -1 and 1 are the centres of the outermost elements, 0: their outer edges. */
  readonly align_corners: number;
  /** [N, C, H, W] or [N, C, D, H, W] of the tensor to be sampled. */
  readonly size: readonly number[];
};

/** Homogeneous positions [places, rank + 1]: the innermost axis' coordinate first, 1 last. float32 numbers. */
function positions(extents: readonly number[], alignCorners: boolean): Float32Array {
  const width = extents.length + 1;
  const values = new Float32Array(sizeOf(extents) * width);
  for (let place = 0; place < sizeOf(extents); place++) {
    let rest = place;
    [...extents].reverse().forEach((extent, i) => {
      const at = rest % extent;
      rest = Math.floor(rest / extent);
      values[place * width + i] = alignCorners
        ? extent === 1
          ? -1
          : (2 * at) / (extent - 1) - 1
        : (2 * at + 1) / extent - 1;
    });
    values[place * width + width - 1] = 1;
  }
  return values;
}

/**
 * AffineGrid (ONNX, with the size as an attribute): theta [N, 2, 3] and `size` [N, C, H, W] → [N, H, W, 2], or theta [N, 3, 4]
 * and [N, C, D, H, W] → [N, D, H, W, 3]: where in [-1, 1] each element of the result is to be sampled. A float type.
 */
export const affineGrid: Operator<AffineGridAttributes> = defineOperator<AffineGridAttributes>({
  name: "AffineGrid",
  inputs: ["theta"],
  outputs: ["grid"],
  attributes: { align_corners: 0, size: [] },
  infer: (inputs, { size }) => {
    const [theta] = requireInputs("AffineGrid", ["theta"], inputs);
    requireDType("AffineGrid", "theta", theta!, "float");
    const rank = size.length - 2;
    const expected = [size[0]!, rank, rank + 1];
    if ((rank !== 2 && rank !== 3) || formatShape(theta!.shape) !== formatShape(expected))
      throw new ShapeError(
        `AffineGrid: expected theta [N, 2, 3] with size [N, C, H, W] or one axis more, got ${formatInputs(inputs)} with ${formatShape(size)}`,
      );
    return [{ dtype: theta!.dtype, shape: [size[0]!, ...size.slice(2), rank] }];
  },
  reference: ([theta], { attributes: { align_corners, size }, outputs }) => {
    const rank = size.length - 2;
    const grid = positions(size.slice(2), align_corners !== 0);
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    const terms = new Float64Array(values.length);
    const places = sizeOf(size.slice(2));
    for (let at = 0; at < values.length; at++) {
      const row = at % rank;
      const place = Math.floor(at / rank) % places;
      const batch = Math.floor(at / (rank * places));
      for (let k = 0; k <= rank; k++) {
        const term = grid[place * (rank + 1) + k]! * theta!.data[(batch * rank + row) * (rank + 1) + k]!;
        values[at]! += term;
        terms[at]! += Math.abs(term);
      }
    }
    return [{ values, terms }];
  },
  errorBound: ({ attributes: { size } }) => summationBound(size.length),
  flops: ({ outputs, attributes: { size } }) => 2 * (size.length - 1) * sizeOf(outputs[0]!.shape),
  cases: [
    { inputs: [[2, 2, 3]], attributes: { size: [2, 3, 5, 6] } },
    { inputs: [[2, 2, 3]], attributes: { size: [2, 3, 5, 6], align_corners: 1 } },
    { inputs: [[1, 3, 4]], attributes: { size: [1, 2, 4, 5, 6] } },
    { inputs: [[2, 3, 4]], attributes: { size: [2, 1, 3, 1, 7], align_corners: 1 } },
    { inputs: [[0, 2, 3]], attributes: { size: [0, 3, 5, 6] } },
  ],
  decompose: (build, [theta], { align_corners, size }) => {
    const extents = size.slice(2);
    const shape = [sizeOf(extents), extents.length + 1];
    const data = storeValues(positions(extents, align_corners !== 0), theta!.dtype, "AffineGrid");
    const grid = build.constant({ dtype: theta!.dtype, shape, data });
    const product = build.apply(matMul, [grid, theta], { transB: 1 });
    return [reshapeTo(build, product, [size[0]!, ...extents, extents.length])];
  },
});
