// Where the largest or the smallest element of each line lies, and Hardmax, which marks it.

import { ShapeError } from "../core/errors.ts";
import { formatShape, sizeOf } from "../core/shape.ts";
import { filled } from "../core/tensorData.ts";
import { equal } from "./binary.ts";
import { requireDType, requireInputs } from "./check.ts";
import { countAlong } from "./indexing.ts";
import { eachLine, linesOf } from "./lines.ts";
import { defineOperator, type Operator, type OperatorCase } from "./operator.ts";
import { where } from "./where.ts";

export type ArgMaxAttributes = {
  /** The axis that is searched. */
  readonly axis: number;
  /** 1 keeps it with extent 1. */
  readonly keepdims: number;
  /** 1: of several equal elements the last one, otherwise the first. */
  readonly select_last_index: number;
};

const INTEGERS = { dtype: "int32", low: -3, high: 3 } as const;

const cases: readonly OperatorCase<ArgMaxAttributes>[] = [
  { inputs: [[1]] },
  { inputs: [[257]], attributes: { keepdims: 0 } },
  { inputs: [[3, 65]], attributes: { axis: 1 } },
  { inputs: [[65, 3]], attributes: { keepdims: 0 }, why: "strided lines" },
  { inputs: [[2, 3, 5, 7]], attributes: { axis: -2 } },
  { inputs: [[67, 3]], attributes: { axis: -1 }, why: "more lines than a workgroup" },
  { inputs: [[2, 1031]], attributes: { axis: 1 }, why: "a line needs a whole workgroup several times" },
  { inputs: [{ shape: [4, 300], ...INTEGERS }], attributes: { axis: 1 }, why: "ties" },
  { inputs: [{ shape: [4, 300], ...INTEGERS }], attributes: { axis: 1, select_last_index: 1 }, why: "ties" },
  { inputs: [{ shape: [33, 4], ...INTEGERS }], attributes: { axis: 0, select_last_index: 1 }, why: "ties" },
  { inputs: [{ shape: [4, 9], dtype: "uint8" }], attributes: { axis: 1 } },
  { inputs: [{ shape: [4, 9], dtype: "float16" }], attributes: { axis: 1 } },
  { inputs: [[0, 3]], attributes: { axis: 1 }, why: "no lines" },
];

/* @__NO_SIDE_EFFECTS__ */
function defineArg(name: string, isBetter: (a: number, b: number) => boolean): Operator<ArgMaxAttributes> {
  return defineOperator<ArgMaxAttributes>({
    name,
    inputs: ["data"],
    outputs: ["reduced"],
    attributes: { axis: 0, keepdims: 1, select_last_index: 0 },
    infer: (inputs, attributes) => {
      const [data] = requireInputs(name, ["data"], inputs);
      requireDType(name, "data", data!, "number");
      const { axis, length } = linesOf(data!.shape, attributes.axis, name);
      const shape = [
        ...data!.shape.slice(0, axis),
        ...(attributes.keepdims === 1 ? [1] : []),
        ...data!.shape.slice(axis + 1),
      ];
      if (length === 0 && sizeOf(shape) > 0)
        throw new ShapeError(`${name}: ${formatShape(data!.shape)} is empty along axis ${axis}: no element to name`);
      return [{ dtype: "int64", shape }];
    },
    reference: ([data], { attributes, outputs }) => {
      const lines = linesOf(data!.shape, attributes.axis, name);
      const values = new Float64Array(sizeOf(outputs[0]!.shape));
      eachLine(lines, (line, first) => {
        const at = (place: number): number => data!.data[first + place * lines.inner]!;
        let best = 0;
        for (let place = 1; place < lines.length; place++) {
          const [a, b] = [at(place), at(best)];
          const isTied = a === b || (Number.isNaN(a) && Number.isNaN(b));
          if (isTied ? attributes.select_last_index === 1 : Number.isNaN(a) || isBetter(a, b)) best = place;
        }
        values[line] = best;
      });
      return [{ values }];
    },
    errorBound: () => 0,
    flops: ({ inputs }) => sizeOf(inputs[0]!.shape),
    cases,
  });
}

/**
 * ArgMax (ONNX): the place along `axis` of the largest element of each line of data [..]. int64; any element type but bool.
 * A NaN is the largest. Throws ShapeError on an axis out of range or an empty line.
 */
export const argMax = defineArg("ArgMax", (a, b) => a > b);

/** ArgMin (ONNX): the place of the smallest element; like {@link argMax}, and a NaN is the smallest. */
export const argMin = defineArg("ArgMin", (a, b) => a < b);

export type HardmaxAttributes = {
  /** The axis along which one element becomes 1. */
  readonly axis: number;
};

/**
 * Hardmax (ONNX, opset 13): 1 where input [..] has its first maximum along `axis`, 0 elsewhere. Floats. A composition over
 * ArgMax.
 */
export const hardmax: Operator<HardmaxAttributes> = defineOperator<HardmaxAttributes>({
  name: "Hardmax",
  inputs: ["input"],
  outputs: ["output"],
  attributes: { axis: -1 },
  infer: (inputs, { axis }) => {
    const [input] = requireInputs("Hardmax", ["input"], inputs);
    requireDType("Hardmax", "input", input!, "float");
    linesOf(input!.shape, axis, "Hardmax");
    return [input!];
  },
  reference: ([input], { attributes }) => {
    const lines = linesOf(input!.shape, attributes.axis, "Hardmax");
    const [places] = argMax.reference([input], {
      inputs: [input],
      outputs: [{ dtype: "int64", shape: [lines.outer * lines.inner] }],
      attributes: { axis: attributes.axis, keepdims: 0, select_last_index: 0 },
    });
    const values = new Float64Array(input!.data.length);
    if (values.length > 0)
      eachLine(lines, (line, first) => {
        values[first + places!.values[line]! * lines.inner] = 1;
      });
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  flops: ({ inputs }) => sizeOf(inputs[0]!.shape),
  cases: [
    { inputs: [[1]] },
    { inputs: [[3, 65]] },
    { inputs: [[2, 3, 5]], attributes: { axis: 1 } },
    { inputs: [[5, 7]], attributes: { axis: 0 } },
    { inputs: [{ shape: [3, 5], dtype: "float16" }] },
    { inputs: [[0, 3]] },
  ],
  decompose: (build, [input], attributes) => {
    const { dtype, shape } = input!;
    const { axis, length } = linesOf(shape, attributes.axis, "Hardmax");
    const [zero, one] = [0, 1].map((value) => build.constant(filled(value, [], dtype)));
    if (length === 0) return [input!];
    const places = build.apply(argMax, [input], { axis });
    const isFirst = build.apply(equal, [places, countAlong(build, shape, axis, "int64")]);
    return [build.apply(where, [isFirst, one, zero])];
  },
});
