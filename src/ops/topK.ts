// The k largest or smallest elements of each line, and where they lie.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sizeOf, type TensorType } from "../core/shape.ts";
import { requireDType, requireInputs } from "./check.ts";
import { zeros } from "./indexing.ts";
import { eachLine, linesOf } from "./lines.ts";
import { defineOperator, type Operator } from "./operator.ts";
import { scatterElements } from "./elements.ts";

export type TopKAttributes = {
  readonly axis: number;
  /** How many elements of each line, at most its length. */
  readonly k: number;
  /** 0: the smallest. */
  readonly largest: number;
  /** 0: in any order. Here they are sorted all the same. */
  readonly sorted: number;
};

/** Order of numbers with NaN above all of them; -0 and 0 are equal. */
export function compareNumbers(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
}

/**
 * TopK (ONNX, with k as an attribute): the `k` largest (or smallest) elements of each line of X [..] along `axis` in order,
 * of equal ones the first, and their places as int64. Any element type but bool; exact. A NaN is larger than any number.
 */
export const topK: Operator<TopKAttributes> = defineOperator<TopKAttributes>({
  name: "TopK",
  inputs: ["X"],
  outputs: ["Values", "Indices"],
  attributes: { axis: -1, k: 1, largest: 1, sorted: 1 },
  infer: (inputs, attributes): TensorType[] => {
    const [x] = requireInputs("TopK", ["X"], inputs);
    requireDType("TopK", "X", x!, "number");
    const { axis, length } = linesOf(x!.shape, attributes.axis, "TopK");
    const { k } = attributes;
    if (!Number.isInteger(k) || k < 0 || k > length)
      throw new ShapeError(`TopK: k is ${k}, and axis ${axis} of ${formatShape(x!.shape)} has ${length} elements`);
    const shape = x!.shape.map((extent, i) => (i === axis ? k : extent));
    return [
      { dtype: x!.dtype, shape },
      { dtype: "int64", shape },
    ];
  },
  reference: ([x], { attributes, outputs }) => {
    const { k, largest } = attributes;
    const lines = linesOf(x!.shape, attributes.axis, "TopK");
    const values = new Float64Array(sizeOf(outputs[0]!.shape));
    const places = new Float64Array(values.length);
    const sign = largest === 1 ? -1 : 1;
    eachLine(lines, (line, first) => {
      const at = (place: number): number => x!.data[first + place * lines.inner]!;
      const order = Array.from({ length: lines.length }, (_, place) => place);
      order.sort((a, b) => sign * compareNumbers(at(a), at(b)) || a - b);
      const to = Math.floor(line / lines.inner) * k * lines.inner + (line % lines.inner);
      for (let i = 0; i < k; i++) {
        values[to + i * lines.inner] = at(order[i]!);
        places[to + i * lines.inner] = order[i]!;
      }
    });
    return [{ values, terms: new Float64Array(values.length) }, { values: places }];
  },
  errorBound: () => 0,
  gradient: ({ build, attributes: { axis }, inputs: [x], outputs: [, indices], outputGradients: [gradient] }) => [
    gradient && build.apply(scatterElements, [zeros(build, x!), indices, gradient], { axis }),
  ],
  flops: ({ inputs, outputs, attributes }) => {
    const length = inputs[0]!.shape.at(attributes.axis)!;
    return sizeOf(inputs[0]!.shape) * Math.ceil(Math.log2(Math.max(2, length))) + sizeOf(outputs[0]!.shape);
  },
  cases: [
    { inputs: [[1]] },
    { inputs: [[257]], attributes: { k: 3 } },
    { inputs: [[3, 65]], attributes: { k: 65 }, why: "a whole line, sorted" },
    { inputs: [[3, 65]], attributes: { k: 7, largest: 0 } },
    { inputs: [[2, 5, 7]], attributes: { k: 3, axis: 1 }, why: "strided lines" },
    { inputs: [[67, 3]], attributes: { k: 2 }, why: "more lines than a workgroup" },
    { inputs: [[2, 1031]], attributes: { k: 5 }, why: "a line needs a whole workgroup several times" },
    { inputs: [{ shape: [4, 300], dtype: "int32", low: -3, high: 3 }], attributes: { k: 20 }, why: "ties" },
    { inputs: [{ shape: [4, 300], dtype: "uint8", low: 0, high: 3 }], attributes: { k: 20, largest: 0 }, why: "ties" },
    { inputs: [{ shape: [3, 9], dtype: "float16" }], attributes: { k: 4 } },
    { inputs: [[3, 5]], attributes: { k: 0 } },
    { inputs: [[0, 5]], attributes: { k: 2 } },
  ],
});
