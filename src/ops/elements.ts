// Single elements read (GatherElements) and written (ScatterElements) at places that are data: each is what the other's
// gradient needs, which is why they share a file.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sameShape, sizeOf } from "../core/shape.ts";
import { requireDType, requireInputs } from "./check.ts";
import {
  checkElementIndices,
  countAlong,
  eachStrided,
  elementStrides,
  INDEX_TYPES,
  indicesOf,
  placeOf,
  zeros,
} from "./indexing.ts";
import { linesOf } from "./lines.ts";
import { defineOperator, type Operand, type Operator } from "./operator.ts";
import {
  accumulator,
  boundOfUpdates,
  SCATTER_INPUTS,
  scatterGradient,
  scatterInputs,
  withReductions,
  type ScatterAttributes,
} from "./scattering.ts";

export type GatherElementsAttributes = {
  /** The axis along which indices choose. */
  readonly axis: number;
};

/**
 * GatherElements (ONNX): for each element of indices (int32 or int64, of data's rank), the element of data with the same
 * coordinates but, along `axis`, the index. Any element type; exact.
 */
export const gatherElements: Operator<GatherElementsAttributes> = defineOperator<GatherElementsAttributes>({
  name: "GatherElements",
  inputs: ["data", "indices"],
  outputs: ["output"],
  attributes: { axis: 0 },
  infer: (inputs, attributes) => {
    const [data, indices] = requireInputs("GatherElements", ["data", "indices"], inputs);
    requireDType("GatherElements", "indices", indices!, INDEX_TYPES);
    const { axis } = linesOf(data!.shape, attributes.axis, "GatherElements");
    checkElementIndices("GatherElements", data!.shape, indices!.shape, axis);
    return [{ dtype: data!.dtype, shape: indices!.shape }];
  },
  reference: ([data, indices], { attributes }) => {
    const { axis, length } = linesOf(data!.shape, attributes.axis, "GatherElements");
    const { strides, axisStride } = elementStrides(data!.shape, axis);
    const values = new Float64Array(indices!.data.length);
    eachStrided(indices!.shape, strides, (index, line) => {
      const place = placeOf(indices!.data[index]!, length, "GatherElements");
      values[index] = data!.data[line + place * axisStride]!;
    });
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  gradient: ({ build, attributes: { axis }, inputs: [data, indices], outputGradients: [gradient] }) => [
    build.apply(scatterElements, [zeros(build, data!), indices, gradient], { axis, reduction: "add" }),
    undefined,
  ],
  flops: () => 0,
  minimumBytes: ({ outputs }) => 12 * sizeOf(outputs[0]!.shape),
  cases: [
    { inputs: [[1], indicesOf(1, [1])] },
    { inputs: [[5], indicesOf(5, [65])] },
    { inputs: [[5, 7], indicesOf(5, [3, 7])] },
    { inputs: [[5, 7], indicesOf(7, [4, 9], "int32")], attributes: { axis: 1 }, why: "fewer rows than data" },
    { inputs: [[2, 3, 5, 7], indicesOf(5, [2, 2, 11, 6])], attributes: { axis: -2 } },
    { inputs: [[5, 7], indicesOf(5, [0, 7])] },
    { inputs: [{ shape: [3, 5], dtype: "int64" }, indicesOf(5, [3, 2])], attributes: { axis: 1 } },
    { inputs: [{ shape: [3, 5], dtype: "bool" }, indicesOf(5, [3, 2])], attributes: { axis: 1 } },
  ],
});

export type ScatterElementsAttributes = ScatterAttributes & {
  /** The axis along which indices choose. */
  readonly axis: number;
};

/**
 * ScatterElements (ONNX): data [..] with each update (a tensor of indices' shape and data's rank) put at its own
 * coordinates but, along `axis`, at its index (int32 or int64). Without a reduction any element type, and exact.
 */
export const scatterElements: Operator<ScatterElementsAttributes> = defineOperator<ScatterElementsAttributes>({
  name: "ScatterElements",
  inputs: SCATTER_INPUTS,
  outputs: ["output"],
  attributes: { axis: 0, reduction: "none" },
  infer: (inputs, attributes) => {
    const [data, indices, updates] = scatterInputs("ScatterElements", inputs, attributes.reduction);
    const { axis } = linesOf(data, attributes.axis, "ScatterElements");
    checkElementIndices("ScatterElements", data, indices, axis);
    if (!sameShape(indices, updates))
      throw new ShapeError(
        `ScatterElements: updates must have the shape of indices ${formatShape(indices)}, got ${formatShape(updates)}`,
      );
    return [inputs[0]!];
  },
  reference: ([data, indices, updates], { attributes }) => {
    const { axis, length } = linesOf(data!.shape, attributes.axis, "ScatterElements");
    const { strides, axisStride } = elementStrides(data!.shape, axis);
    const { output, update } = accumulator(data!, attributes.reduction);
    eachStrided(indices!.shape, strides, (index, line) => {
      const place = placeOf(indices!.data[index]!, length, "ScatterElements");
      update(line + place * axisStride, updates!.data[index]!);
    });
    return [output];
  },
  errorBound: ({ inputs, attributes: { axis, reduction } }) => boundOfUpdates(reduction, inputs[1]!.shape.at(axis)!),
  gradient: (context) => {
    const { build, attributes, inputs } = context;
    const [data, indices] = inputs as readonly Operand[];
    const { axis } = linesOf(data!.shape, attributes.axis, "ScatterElements");
    return scatterGradient(context, {
      gathered: (from) => build.apply(gatherElements, [from, indices], { axis }),
      scattered: (over, updates, reduction) =>
        build.apply(scatterElements, [over, indices, updates], { axis, reduction }),
      order: countAlong(build, indices!.shape, axis, "int32"),
    });
  },
  flops: ({ inputs }) => sizeOf(inputs[1]!.shape),
  cases: withReductions<ScatterElementsAttributes>(
    [
      { inputs: [[1], indicesOf(1, [1]), [1]] },
      { inputs: [[65], indicesOf(65, [7]), [7]] },
      { inputs: [[5, 67], indicesOf(5, [2, 67]), [2, 67]] },
      { inputs: [[5, 7], indicesOf(7, [3, 2], "int32"), [3, 2]], attributes: { axis: 1 }, why: "fewer rows than data" },
      { inputs: [[2, 3, 5, 7], indicesOf(5, [1, 3, 2, 6]), [1, 3, 2, 6]], attributes: { axis: -2 } },
      { inputs: [[5, 7], indicesOf(5, [0, 7]), [0, 7]], why: "no updates" },
      { inputs: [[0, 7], indicesOf(5, [0, 7]), [0, 7]], why: "no data" },
      {
        inputs: [{ shape: [5], dtype: "bool" }, indicesOf(5, [3]), { shape: [3], dtype: "bool" }],
      },
      {
        inputs: [{ shape: [3, 5], dtype: "int8" }, indicesOf(3, [40, 5]), { shape: [40, 5], dtype: "int8" }],
        attributes: { reduction: "add" },
        why: "sums wrap",
      },
      {
        inputs: [{ shape: [5], dtype: "float16" }, indicesOf(5, [9]), { shape: [9], dtype: "float16" }],
        attributes: { reduction: "add" },
      },
      {
        inputs: [{ shape: [5], dtype: "int32" }, indicesOf(5, [9]), { shape: [9], dtype: "int32" }],
        attributes: { reduction: "mul" },
      },
    ],
    { inputs: [[5, 3], indicesOf(5, [9, 3]), [9, 3]] },
  ),
});
