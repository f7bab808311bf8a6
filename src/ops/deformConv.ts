// Deformable convolution (Dai et al. 2017; with a mask, Zhu et al. 2018): every tap of every window is moved by an offset of
// its own, read between the elements of X by bilinear interpolation with zeros outside, and weighted by a mask.

import { ShapeError, UnsupportedError } from "../core/errors.ts";
import { formatShape, sizeOf, type Shape, type TensorType } from "../core/shape.ts";
import {
  checkBias,
  checkTypes,
  convFlops,
  geometryOf,
  resolveForward,
  startFromBias,
  type ConvGeometry,
} from "./convGeometry.ts";
import { defineOperator, summationBound, type Numbers, type Problem } from "./operator.ts";

/** Attributes of {@link deformConv}, named as in ONNX. */
export type DeformConvAttributes = {
  readonly dilations: readonly number[];
  readonly group: number;
  readonly kernel_shape: readonly number[];
  /** Groups of X's channels, each with offsets and a mask of its own. */
  readonly offset_group: number;
  readonly pads: readonly number[];
  readonly strides: readonly number[];
};

const NAMES = ["X", "W", "offset", "B", "mask"];
const WHO = "DeformConv";

/** Geometry of a DeformConv problem without its offsets: that of a plain convolution. */
export function deformConvGeometry({
  inputs,
  attributes,
}: Pick<Problem<DeformConvAttributes>, "inputs" | "attributes">): ConvGeometry {
  checkTypes(inputs, NAMES, 3, WHO);
  const [x, w, offset, bias, mask] = inputs;
  if (x!.shape.length > 4) throw new UnsupportedError(`${WHO}: X is ${formatShape(x!.shape)}, only [N, C, H, W] works`);
  if (x!.shape.length < 4) throw new ShapeError(`${WHO}: X must be [N, C, H, W], got ${formatShape(x!.shape)}`);
  const { group, offset_group: offsetGroup } = attributes;
  const resolved = resolveForward(x!.shape, w!.shape, group, { auto_pad: "NOTSET", ...attributes }, WHO);
  const g = geometryOf(resolved);
  if (!Number.isInteger(offsetGroup) || offsetGroup < 1 || g.C % offsetGroup !== 0)
    throw new ShapeError(
      `${WHO}: offset_group ${offsetGroup} must be a positive integer that divides the ${g.C} channels of X`,
    );
  const check = (type: TensorType | undefined, name: string, perTap: number): void => {
    const expected: Shape = [g.N, offsetGroup * g.kH * g.kW * perTap, g.outH, g.outW];
    if (type && (type.shape.length !== 4 || type.shape.some((extent, axis) => extent !== expected[axis])))
      throw new ShapeError(`${WHO}: ${name} must be ${formatShape(expected)}, got ${formatShape(type.shape)}`);
  };
  check(offset, "offset", 2);
  check(mask, "mask", 1);
  checkBias(bias, g.M, WHO);
  return g;
}

/** x [H, W] of a plane at (h, w), between elements by bilinear interpolation; and Σ|elements| that took part. */
function sample(
  x: Numbers,
  plane: number,
  g: ConvGeometry,
  h: number,
  w: number,
): readonly [value: number, terms: number] {
  const [top, left] = [Math.floor(h), Math.floor(w)];
  let value = 0;
  let terms = 0;
  for (const row of [top, top + 1])
    for (const column of [left, left + 1]) {
      if (row < 0 || column < 0 || row >= g.H || column >= g.W) continue;
      const element = x[(plane * g.H + row) * g.W + column]!;
      value += element * (1 - Math.abs(h - row)) * (1 - Math.abs(w - column));
      terms += Math.abs(element);
    }
  return [value, terms];
}

/**
 * Deformable convolution of X [N, C, H, W] with W [M, C/group, kH, kW], offset [N, offset_group·kH·kW·2, outH, outW] (down,
 * then right), B [M] and mask [N, offset_group·kH·kW, outH, outW]. Source: ONNX DeformConv (opset 22).
 */
export const deformConv = defineOperator<DeformConvAttributes>({
  name: WHO,
  inputs: NAMES,
  required: 3,
  outputs: ["Y"],
  attributes: { dilations: [], group: 1, kernel_shape: [], offset_group: 1, pads: [], strides: [] },

  infer(inputs, attributes) {
    const g = deformConvGeometry({ inputs, attributes });
    return [{ dtype: inputs[0]!.dtype, shape: [g.N, g.M, g.outH, g.outW] }];
  },

  reference([X, W, offset, B, mask], problem) {
    const g = deformConvGeometry(problem);
    const groupC = g.C / g.group;
    const area = g.outH * g.outW;
    const offsetC = g.C / problem.attributes.offset_group;
    const result = startFromBias(g.N, g.M, area, B);
    for (let n = 0; n < g.N; n++)
      for (let c = 0; c < g.C; c++)
        for (let kh = 0; kh < g.kH; kh++)
          for (let kw = 0; kw < g.kW; kw++) {
            const part = n * problem.attributes.offset_group + Math.floor(c / offsetC);
            const tap = (part * g.kH + kh) * g.kW + kw;
            for (let position = 0; position < area; position++) {
              const oh = Math.floor(position / g.outW);
              const ow = position % g.outW;
              const h = oh * g.strideH - g.padTop + kh * g.dilationH + offset!.data[2 * tap * area + position]!;
              const w = ow * g.strideW - g.padLeft + kw * g.dilationW + offset!.data[(2 * tap + 1) * area + position]!;
              const [value, terms] = sample(X!.data, n * g.C + c, g, h, w);
              const share = mask ? mask.data[tap * area + position]! : 1;
              const group = Math.floor(c / groupC);
              for (let m = (group * g.M) / g.group; m < ((group + 1) * g.M) / g.group; m++) {
                const weight = share * W!.data[((m * groupC + (c % groupC)) * g.kH + kh) * g.kW + kw]!;
                result.values[(n * g.M + m) * area + position]! += weight * value;
                result.terms[(n * g.M + m) * area + position]! += Math.abs(weight) * terms;
              }
            }
          }
    return [result];
  },

  errorBound(problem) {
    const g = deformConvGeometry(problem);
    return summationBound((g.C / g.group) * g.kH * g.kW + 1) + 6; // interpolation and mask round too
  },

  flops: (problem) => convFlops(deformConvGeometry(problem)) * 5,
  minimumBytes: ({ inputs, outputs }) =>
    4 * [...inputs, ...outputs].reduce((sum, type) => sum + (type ? sizeOf(type.shape) : 0), 0),

  cases: [
    { inputs: [[1, 1, 1, 1], [1, 1, 1, 1], [1, 2, 1, 1], [1], [1, 1, 1, 1]] },
    {
      inputs: [[1, 1, 3, 3], [1, 1, 2, 2], { shape: [1, 8, 4, 4], low: -2, high: 2 }],
      attributes: { pads: [1, 1, 1, 1] },
    },
    {
      inputs: [[2, 6, 7, 8], [4, 3, 3, 2], { shape: [2, 36, 4, 4], low: -3, high: 3 }, [4], [2, 18, 4, 4]],
      attributes: { group: 2, offset_group: 3, strides: [2, 2], pads: [1, 0, 1, 1] },
      why: "groups of both kinds that do not nest",
    },
    {
      inputs: [[1, 2, 6, 6], [3, 2, 2, 2], { shape: [1, 8, 4, 3], low: -9, high: 9 }, undefined, [1, 4, 4, 3]],
      attributes: { dilations: [2, 3] },
      why: "dilated, far outside, a mask without bias",
    },
    {
      inputs: [
        [0, 2, 5, 5],
        [3, 2, 3, 3],
        [0, 18, 3, 3],
      ],
      why: "empty batch",
    },
  ],
});
