// Joining tensors along an axis. An operator has a fixed list of inputs and a dispatch a fixed number of bindings, so
// longer lists are joined in groups, and the groups again.

import { ShapeError } from "../core/errors.ts";
import { normalizeAxis, sameShape, type TensorType } from "../core/shape.ts";
import { formatInputs, requireSameDType } from "./check.ts";
import { defineOperator, type Builder, type Operand, type Operator } from "./operator.ts";
import { sliceAxis } from "./slice.ts";

export type ConcatAttributes = {
  readonly axis: number;
};

/** With the result, these are the eight storage buffers every device binds. */
const MOST_INPUTS = 7;

function inferConcat(types: readonly TensorType[], { axis }: ConcatAttributes): TensorType {
  const first = types[0];
  if (!first) throw new ShapeError("Concat: expected at least one input");
  requireSameDType("Concat", types);
  const along = normalizeAxis(axis, first.shape.length, "Concat");
  const others = ({ shape }: TensorType): number[] => shape.map((extent, i) => (i === along ? 0 : extent));
  if (types.some((type) => !sameShape(others(type), others(first))))
    throw new ShapeError(`Concat: inputs must agree on every axis but ${along}, got ${formatInputs(types)}`);
  const total = types.reduce((sum, { shape }) => sum + shape[along]!, 0);
  return { dtype: first.dtype, shape: first.shape.map((extent, i) => (i === along ? total : extent)) };
}

/** Elements of each input, and of the result, from one coordinate of the axes before `axis` to the next. */
export function concatRows(inputs: readonly (TensorType | undefined)[], axis: number): number[] {
  return inputs.flatMap((type) => {
    if (!type) return [];
    const along = normalizeAxis(axis, type.shape.length, "Concat");
    return [type.shape.slice(along).reduce((product, extent) => product * extent, 1)];
  });
}

/** Concat (ONNX) of up to seven tensors that differ along `axis` only; see {@link concatenate}. Any type; exact. */
export const concat: Operator<ConcatAttributes> = defineOperator<ConcatAttributes>({
  name: "Concat",
  inputs: Array.from({ length: MOST_INPUTS }, (_, i) => `input${i}`),
  required: 1,
  outputs: ["concat_result"],
  attributes: { axis: 0 },
  infer: (inputs, attributes) => [
    inferConcat(
      inputs.filter((type) => type !== undefined),
      attributes,
    ),
  ],
  reference: (inputs, { attributes, outputs }) => {
    const rows = concatRows(inputs, attributes.axis);
    const row = rows.reduce((sum, length) => sum + length, 0);
    const values = new Float64Array(outputs[0]!.shape.reduce((product, extent) => product * extent, 1));
    let start = 0;
    inputs.forEach((input, i) => {
      const length = rows[i]!;
      for (let at = 0; at < input!.data.length; at++)
        values[Math.floor(at / length) * row + start + (at % length)] = input!.data[at]!;
      start += length;
    });
    return [{ values, terms: new Float64Array(values.length) }];
  },
  errorBound: () => 0,
  gradient: ({ build, attributes, inputs, outputGradients: [gradient], wanted }) => {
    let start = 0;
    return inputs.map((input, i) => {
      const axis = normalizeAxis(attributes.axis, input!.shape.length, "Concat");
      const first = start;
      start += input!.shape[axis]!;
      return wanted[i] ? sliceAxis(build, gradient!, axis, first, input!.shape[axis]!) : undefined;
    });
  },
  flops: () => 0,
  cases: [
    { inputs: [[7]] },
    { inputs: [[1], [65]] },
    {
      inputs: [
        [3, 5],
        [4, 5],
      ],
    },
    {
      inputs: [
        [3, 5],
        [3, 1],
        [3, 7],
      ],
      attributes: { axis: 1 },
    },
    {
      inputs: [
        [2, 3, 5],
        [2, 4, 5],
      ],
      attributes: { axis: -2 },
    },
    {
      inputs: [
        [2, 3, 4, 4],
        [2, 1, 4, 4],
      ],
      attributes: { axis: 1 },
      why: "channels",
    },
    {
      inputs: [
        [257, 1],
        [257, 1],
        [257, 1],
      ],
      attributes: { axis: -1 },
    },
    {
      inputs: [
        [2, 3],
        [2, 0],
        [2, 1],
      ],
      attributes: { axis: 1 },
      why: "an empty part",
    },
    {
      inputs: [
        [0, 3],
        [0, 2],
      ],
      attributes: { axis: 1 },
      why: "nothing at all",
    },
    { inputs: [[3], [1], [4], [1], [5], [9], [2]], why: "as many as a device binds by default" },
    {
      inputs: [
        [1, 2, 1, 2, 1, 2, 1, 2],
        [1, 2, 1, 2, 1, 3, 1, 2],
      ],
      attributes: { axis: 5 },
    },
    {
      inputs: [
        { shape: [2], dtype: "int64" },
        { shape: [3], dtype: "int64" },
      ],
    },
    {
      inputs: [
        { shape: [2, 2], dtype: "bool" },
        { shape: [2, 1], dtype: "bool" },
      ],
      attributes: { axis: 1 },
    },
  ],
});

/** Concat of any number of tensors. Throws ShapeError or DTypeError unless they agree on everything but `axis`. */
export function concatenate(build: Builder, inputs: readonly Operand[], axis: number): Operand {
  const { shape } = inferConcat(inputs, { axis });
  const along = normalizeAxis(axis, shape.length, "Concat");
  const filling = inputs.filter((input) => input.shape[along] !== 0);
  let parts = filling.length > 0 ? filling : inputs.slice(0, 1);
  while (parts.length > 1) {
    const groups = Math.ceil(parts.length / MOST_INPUTS);
    parts = Array.from({ length: groups }, (_, group) => {
      const place = (boundary: number): number => Math.round((boundary * parts.length) / groups);
      const members = parts.slice(place(group), place(group + 1));
      return members.length === 1 ? members[0]! : build.apply(concat, members, { axis: along });
    });
  }
  return parts[0]!;
}
