// Indices as vectors that are different at one place.

import { ShapeError } from "../core/errors.ts";
import { formatShape, normalizeAxis, sizeOf, type Shape } from "../core/shape.ts";
import { tensorData } from "../core/tensorData.ts";
import { equal } from "./binary.ts";
import { requireDType, requireInputs } from "./check.ts";
import { gather } from "./gather.ts";
import { countAlong } from "./indexing.ts";
import { eachLine, linesOf } from "./lines.ts";
import { defineOperator, type Operator } from "./operator.ts";
import { reshapeTo } from "./reshape.ts";
import { cast } from "./cast.ts";
import { where } from "./where.ts";

export type OneHotAttributes = {
  /** Where the new axis stands in the result, in [-rank - 1, rank] of the indices. */
  readonly axis: number;
  /** Its extent. */
  readonly depth: number;
};

/** The result's axis and shape. */
function hotShape(indices: Shape, { axis, depth }: OneHotAttributes): { at: number; shape: number[] } {
  const at = normalizeAxis(axis, indices.length + 1, "OneHot");
  return { at, shape: [...indices.slice(0, at), depth, ...indices.slice(at)] };
}

/**
 * OneHot (ONNX, with the depth as an attribute): values[1] where the place along the new axis is the index, values[0]
 * elsewhere. Indices [..] are of any numeric type, those below 0 count from the end, and those out of range are nowhere;
 * values [2] are of any type. A composition of elementwise operators.
 */
export const oneHot: Operator<OneHotAttributes> = defineOperator<OneHotAttributes>({
  name: "OneHot",
  inputs: ["indices", "values"],
  outputs: ["output"],
  attributes: { axis: -1, depth: 0 },
  infer: (inputs, attributes) => {
    const [indices, values] = requireInputs("OneHot", ["indices", "values"], inputs);
    requireDType("OneHot", "indices", indices!, "number");
    if (values!.shape.length !== 1 || values!.shape[0] !== 2)
      throw new ShapeError(`OneHot: values must be [2] (off, on), got ${formatShape(values!.shape)}`);
    if (!Number.isInteger(attributes.depth) || attributes.depth < 0)
      throw new ShapeError(`OneHot: depth must be a non-negative integer, got ${attributes.depth}`);
    return [{ dtype: values!.dtype, shape: hotShape(indices!.shape, attributes).shape }];
  },
  reference: ([indices, values], { attributes }) => {
    const { at, shape } = hotShape(indices!.shape, attributes);
    const { depth } = attributes;
    const lines = linesOf(shape, at, "OneHot");
    const output = new Float64Array(sizeOf(shape)).fill(values!.data[0]!);
    eachLine(lines, (line, first) => {
      const index = Math.trunc(indices!.data[line]!);
      const place = index < 0 ? index + depth : index;
      if (place >= 0 && place < depth) output[first + place * lines.inner] = values!.data[1]!;
    });
    return [{ values: output, terms: new Float64Array(output.length) }];
  },
  errorBound: () => 0,
  flops: ({ outputs }) => sizeOf(outputs[0]!.shape),
  cases: [
    { inputs: [{ shape: [], dtype: "int64", low: 0, high: 5 }, [2]], attributes: { depth: 5 } },
    {
      inputs: [{ shape: [65], dtype: "int64", low: -7, high: 7 }, [2]],
      attributes: { depth: 5 },
      why: "some are nowhere",
    },
    { inputs: [{ shape: [3, 5], dtype: "int32", low: -4, high: 4 }, [2]], attributes: { depth: 4, axis: 1 } },
    { inputs: [{ shape: [3, 5], dtype: "uint8", low: 0, high: 4 }, [2]], attributes: { depth: 4, axis: -3 } },
    {
      inputs: [
        { shape: [7], low: -4, high: 4 },
        { shape: [2], dtype: "int32" },
      ],
      attributes: { depth: 3, axis: 0 },
      why: "indices may be floats",
    },
    {
      inputs: [
        { shape: [3], dtype: "int64", low: 0, high: 5 },
        { shape: [2], dtype: "bool" },
      ],
      attributes: { depth: 5 },
    },
    { inputs: [{ shape: [3], dtype: "int64", low: 0, high: 5 }, [2]], attributes: { depth: 0 } },
  ],
  decompose: (build, [indices, values], attributes) => {
    const { at, shape } = hotShape(indices!.shape, attributes);
    const dtype = indices!.dtype === "int64" ? "int64" : "int32";
    const integers = indices!.dtype === dtype ? indices! : build.apply(cast, [indices], { to: dtype });
    const kept = reshapeTo(
      build,
      integers,
      shape.map((extent, axis) => (axis === at ? 1 : extent)),
    );
    const [off, on] = [0, 1].map((place) =>
      build.apply(gather, [values, build.constant(tensorData(Int32Array.of(place), []))]),
    );
    // Places counted from either end: an index equals one of the two or none.
    const marked = (from: number, otherwise = off) =>
      build.apply(where, [build.apply(equal, [kept, countAlong(build, shape, at, dtype, from)]), on, otherwise]);
    return [marked(-attributes.depth, marked(0))];
  },
});
