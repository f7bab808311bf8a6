// The heavy operators' references against numbers that come from elsewhere: worked examples of the ONNX operator texts,
// the same operator written out in another way (a convolution as a product of unfolded patches, a transposed one as a
// convolution of a zero-stuffed input). Their gradient rules are tested with all others in tests/gradients.

import { describe, expect, it } from "vitest";
import { DTypeError, ShapeError, UnsupportedError } from "../../src/core/errors.ts";
import { Random } from "../../src/core/random.ts";
import { sizeOf, stridesOf, type Shape, type TensorType } from "../../src/core/shape.ts";
import { conv } from "../../src/ops/conv.ts";
import { convTranspose, convWeightGradient } from "../../src/ops/convBack.ts";
import { convGeometry } from "../../src/ops/convGeometry.ts";
import { convTransposeGeometry } from "../../src/ops/convBackGeometry.ts";
import type { ConvGeometry } from "../../src/ops/convGeometry.ts";
import { gemm } from "../../src/ops/gemm.ts";
import { matMul, matMulGeometry } from "../../src/ops/matmul.ts";
import type { Attributes, Operator, OperatorCase } from "../../src/ops/operator.ts";
import { averagePool, averagePoolGradient, lpPool } from "../../src/ops/averagePool.ts";
import { globalAveragePool, globalLpPool, globalMaxPool } from "../../src/ops/globalPool.ts";
import { emptyMaximum, maxPool } from "../../src/ops/maxPool.ts";
import { maxPoolGradient } from "../../src/ops/maxPoolGradient.ts";
import { maxPoolIndices } from "../../src/ops/maxPoolIndices.ts";
import { poolGeometry } from "../../src/ops/poolGeometry.ts";
import { EagerBuilder, type EagerTensor } from "../harness/eager.ts";

const value = (shape: Shape, data: ArrayLike<number>): EagerTensor => ({
  dtype: "float32",
  shape,
  data: Float64Array.from(data),
});

/** 0, 1, 2 … from `first`. */
const counting = (shape: Shape, first = 0): EagerTensor =>
  value(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => first + i),
  );

const ones = (shape: Shape): EagerTensor => value(shape, new Array<number>(sizeOf(shape)).fill(1));

const random = (shape: Shape, seed: number): EagerTensor => {
  const source = new Random(seed);
  return value(
    shape,
    Array.from({ length: sizeOf(shape) }, () => 2 * source.uniform() - 1),
  );
};

/** Carried out at once, compositions through their parts. */
function run<A extends Attributes>(
  operator: Operator<A>,
  inputs: readonly (EagerTensor | undefined)[],
  attributes?: Partial<A>,
): EagerTensor {
  return new EagerBuilder().apply(operator, inputs, attributes);
}

/** Its own reference, even where there is a decomposition. */
function runReference<A extends Attributes>(
  operator: Operator<A>,
  inputs: readonly (EagerTensor | undefined)[],
  partial?: Partial<A>,
): { output: EagerTensor; terms: Float64Array } {
  const attributes = { ...operator.attributes, ...partial };
  const outputs = operator.infer(inputs, attributes);
  const [result] = operator.reference(inputs, { inputs, outputs, attributes });
  return { output: { ...outputs[0]!, data: result!.values }, terms: result!.terms ?? result!.values.map(Math.abs) };
}

function problemOf<A extends Attributes>(operator: Operator<A>, shapes: readonly Shape[], partial?: Partial<A>) {
  const attributes = { ...operator.attributes, ...partial };
  const inputs = shapes.map((shape): TensorType => ({ dtype: "float32", shape }));
  return { inputs, outputs: operator.infer(inputs, attributes), attributes };
}

const shapesOf = <A extends Attributes>(entry: OperatorCase<A>): Shape[] =>
  entry.inputs.map((input) => ("shape" in input! ? input.shape : input!));

const inputsOf = <A extends Attributes>(entry: OperatorCase<A>): EagerTensor[] =>
  shapesOf(entry).map((shape, i) => random(shape, 17 + i));

function expectClose(actual: EagerTensor, expected: EagerTensor, tolerance = 1e-12): void {
  expect(actual.shape).toEqual(expected.shape);
  for (let i = 0; i < expected.data.length; i++)
    if (!(Math.abs(actual.data[i]! - expected.data[i]!) <= tolerance * Math.max(1, Math.abs(expected.data[i]!))))
      expect.fail(`element ${i} is ${actual.data[i]}, expected ${expected.data[i]}`);
}

const title = <A extends Attributes>(entry: OperatorCase<A>): string =>
  `${entry.inputs.map((input) => JSON.stringify(input)).join(" ")} ${JSON.stringify(entry.attributes ?? {})}`;

describe("MatMul", () => {
  /** By coordinates: every index of Y looked up in A and B on its own. */
  function byCoordinates(A: EagerTensor, B: EagerTensor, transA: number, transB: number, shape: Shape): EagerTensor {
    const K = A.shape.at(A.shape.length > 1 && transA ? -2 : -1)!;
    const at = (operand: EagerTensor, batch: readonly number[], last: readonly number[]): number => {
      const rank = operand.shape.length;
      const lead = operand.shape.slice(0, Math.max(0, rank - 2));
      const tail = batch.slice(batch.length - lead.length).map((position, i) => (lead[i] === 1 ? 0 : position));
      const strides = stridesOf(operand.shape);
      return operand.data[[...tail, ...last].reduce((sum, position, axis) => sum + position * strides[axis]!, 0)]!;
    };
    const rowAxis = A.shape.length > 1 ? 1 : 0;
    const columnAxis = B.shape.length > 1 ? 1 : 0;
    const strides = stridesOf(shape);
    const data = Array.from({ length: sizeOf(shape) }, (_, index) => {
      const position = shape.map((extent, axis) => Math.floor(index / strides[axis]!) % extent);
      const batch = position.slice(0, position.length - rowAxis - columnAxis);
      const m = rowAxis ? position[batch.length]! : 0;
      const n = columnAxis ? position.at(-1)! : 0;
      let sum = 0;
      for (let k = 0; k < K; k++) {
        const a = at(A, batch, rowAxis ? (transA ? [k, m] : [m, k]) : [k]);
        const b = at(B, batch, columnAxis ? (transB ? [n, k] : [k, n]) : [k]);
        sum += a * b;
      }
      return sum;
    });
    return value(shape, data);
  }

  it.each(matMul.cases.map((entry) => [title(entry), entry] as const))("%s", (_, entry) => {
    const [A, B] = inputsOf(entry) as [EagerTensor, EagerTensor];
    const Y = run(matMul, [A, B], entry.attributes);
    expectClose(Y, byCoordinates(A, B, entry.attributes?.transA ?? 0, entry.attributes?.transB ?? 0, Y.shape));
  });

  it("infers NumPy's shapes", () => {
    const shape = (a: Shape, b: Shape, attributes = {}): Shape =>
      problemOf(matMul, [a, b], attributes).outputs[0]!.shape;
    expect(shape([5], [5])).toEqual([]);
    expect(shape([5], [2, 5, 7])).toEqual([2, 7]);
    expect(shape([2, 3, 5], [5])).toEqual([2, 3]);
    expect(shape([2, 1, 3, 5], [4, 5, 6])).toEqual([2, 4, 3, 6]);
    expect(shape([2, 5, 3], [2, 6, 5], { transA: 1, transB: 1 })).toEqual([2, 3, 6]);
    expect(shape([3, 0], [0, 4])).toEqual([3, 4]);
  });

  it("has as few batch axes as possible", () => {
    const geometry = (a: Shape, b: Shape, attributes = {}) => matMulGeometry(problemOf(matMul, [a, b], attributes));
    expect(geometry([8, 128, 64], [64, 10])).toMatchObject({
      batch: [],
      batchSize: 1,
      M: 1024,
      N: 10,
      K: 64,
      aRowStride: 64,
    });
    expect(geometry([2, 3, 17, 9], [2, 3, 9, 18])).toMatchObject({
      batch: [6],
      aBatchStrides: [153],
      bBatchStrides: [162],
    });
    expect(geometry([2, 1, 3, 5], [1, 4, 5, 6])).toMatchObject({
      batch: [2, 4],
      aBatchStrides: [15, 0],
      bBatchStrides: [0, 30],
    });
    expect(geometry([2, 5, 3], [5, 4], { transA: 1 })).toMatchObject({
      batch: [2],
      M: 3,
      aRowStride: 1,
      aColStride: 3,
    });
    expect(geometry([7, 1, 5], [5, 4])).toMatchObject({ batch: [], M: 7, aRowStride: 5 });
    expect(geometry([3, 5], [4, 5], { transB: 1 })).toMatchObject({ bRowStride: 1, bColStride: 5 });
  });

  it("sums |products| beside the values", () => {
    const { output, terms } = runReference(matMul, [value([1, 3], [1, -2, 3]), value([3, 1], [4, 5, -6])]);
    expect([...output.data]).toEqual([4 - 10 - 18]);
    expect([...terms]).toEqual([4 + 10 + 18]);
  });

  it("says what does not fit", () => {
    const infer =
      (a: Shape, b: Shape, attributes = {}) =>
      () =>
        problemOf(matMul, [a, b], attributes);
    expect(infer([3, 4], [5, 6])).toThrow(/MatMul: A \[3, 4\] and B \[5, 6\].*A has 4 columns, B has 5 rows/);
    expect(infer([3, 4], [5, 6])).toThrow(ShapeError);
    expect(infer([2, 3, 4], [3, 4, 5])).toThrow(/broadcast/);
    expect(infer([], [5])).toThrow(/scalar/);
    expect(infer([5], [5, 3], { transA: 1 })).toThrow(/1-D/);
    const booleans: TensorType = { dtype: "bool", shape: [2, 2] };
    expect(() => matMul.infer([booleans, booleans], matMul.attributes)).toThrow(DTypeError);
  });
});

describe("Gemm", () => {
  it.each(gemm.cases.map((entry) => [title(entry), entry] as const))("%s decomposes to itself", (_, entry) => {
    const inputs = inputsOf(entry);
    expectClose(run(gemm, inputs, entry.attributes), runReference(gemm, inputs, entry.attributes).output);
  });

  it("computes alpha·Aᵀ·B + beta·C", () => {
    const A = value([2, 2], [1, 2, 3, 4]);
    const B = value([2, 2], [5, 6, 7, 8]);
    const C = value([2], [10, 20]);
    const Y = runReference(gemm, [A, B, C], { alpha: 2, beta: 3, transA: 1 }).output;
    expect([...Y.data]).toEqual([2 * 26 + 30, 2 * 30 + 60, 2 * 38 + 30, 2 * 44 + 60]);
  });

  it("says what does not fit", () => {
    expect(() => problemOf(gemm, [[3, 4], [4, 5], [3]])).toThrow(/C \[3\]|do not broadcast/);
    expect(() =>
      problemOf(gemm, [
        [3, 4],
        [4, 5],
        [2, 3, 5],
      ]),
    ).toThrow(/C \[2, 3, 5\] does not broadcast to \[3, 5\]/);
    expect(() =>
      problemOf(gemm, [
        [2, 3, 4],
        [4, 5],
      ]),
    ).toThrow(/must be matrices/);
    expect(() =>
      problemOf(gemm, [
        [3, 4],
        [5, 4],
      ]),
    ).toThrow(/A has 4 columns, B has 5 rows/);
  });
});

/** Patches of a padded copy of x as a matrix [N·outD·outH·outW, groupC·kD·kH·kW], one group's channels. */
function unfold(x: EagerTensor, g: ConvGeometry, group: number): number[][] {
  const groupC = g.C / g.group;
  const at = (n: number, c: number, d: number, h: number, w: number): number =>
    d < 0 || h < 0 || w < 0 || d >= g.D || h >= g.H || w >= g.W
      ? 0
      : x.data[(((n * g.C + c) * g.D + d) * g.H + h) * g.W + w]!;
  const patches: number[][] = [];
  const range = (count: number): number[] => [...Array(count).keys()];
  for (const n of range(g.N))
    for (const od of range(g.outD))
      for (const oh of range(g.outH))
        for (const ow of range(g.outW))
          patches.push(
            range(groupC).flatMap((c) =>
              range(g.kD).flatMap((kd) =>
                range(g.kH).flatMap((kh) =>
                  range(g.kW).map((kw) => {
                    const d = od * g.strideD - g.padFront + kd * g.dilationD;
                    const h = oh * g.strideH - g.padTop + kh * g.dilationH;
                    const w = ow * g.strideW - g.padLeft + kw * g.dilationW;
                    return at(n, group * groupC + c, d, h, w);
                  }),
                ),
              ),
            ),
          );
  return patches;
}

/** Convolution as a product of unfolded patches with the weights. */
function convByUnfolding(x: EagerTensor, w: EagerTensor, bias: EagerTensor | undefined, g: ConvGeometry): Float64Array {
  const groupM = g.M / g.group;
  const length = (g.C / g.group) * g.kD * g.kH * g.kW;
  const area = g.outD * g.outH * g.outW;
  const y = new Float64Array(g.N * g.M * area);
  for (let group = 0; group < g.group; group++)
    unfold(x, g, group).forEach((patch, place) => {
      const n = Math.floor(place / area);
      for (let m = group * groupM; m < (group + 1) * groupM; m++) {
        const row = w.data.subarray(m * length, (m + 1) * length);
        const dot = patch.reduce((sum, element, i) => sum + element * row[i]!, 0);
        y[(n * g.M + m) * area + (place % area)] = dot + (bias?.data[m] ?? 0);
      }
    });
  return y;
}

describe("Conv", () => {
  it.each(conv.cases.map((entry) => [title(entry), entry] as const))("%s", (_, entry) => {
    const [X, W, B] = inputsOf(entry);
    const g = convGeometry(problemOf(conv, shapesOf(entry), entry.attributes));
    const y = run(conv, [X, W, B], entry.attributes);
    expectClose(y, value(y.shape, convByUnfolding(X!, W!, B, g)));
  });

  // onnx/backend/test/case/node/conv.py
  it("agrees with ONNX's worked examples", () => {
    const kernel = ones([1, 1, 3, 3]);
    const x5 = counting([1, 1, 5, 5]);
    const x7 = counting([1, 1, 7, 5]);
    const withPadding = [
      12, 21, 27, 33, 24, 33, 54, 63, 72, 51, 63, 99, 108, 117, 81, 93, 144, 153, 162, 111, 72, 111, 117, 123, 84,
    ];
    expect([...run(conv, [x5, kernel], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }).data]).toEqual(withPadding);
    expect([...run(conv, [x5, kernel]).data]).toEqual([54, 63, 72, 99, 108, 117, 144, 153, 162]);
    const same = run(conv, [x5, kernel], { auto_pad: "SAME_LOWER", strides: [2, 2] });
    expect([...same.data]).toEqual([12, 27, 24, 63, 108, 81, 72, 117, 84]);
    const strided = run(conv, [x7, kernel], { strides: [2, 2], pads: [1, 1, 1, 1] });
    expect([...strided.data]).toEqual([12, 27, 24, 63, 108, 81, 123, 198, 141, 112, 177, 124]);
    expect([...run(conv, [x7, kernel], { strides: [2, 2] }).data]).toEqual([54, 72, 144, 162, 234, 252]);
    const asymmetric = run(conv, [x7, kernel], { strides: [2, 2], pads: [1, 0, 1, 0] });
    expect([...asymmetric.data]).toEqual([21, 33, 99, 117, 189, 207, 171, 183]);
  });

  it("adds the bias to the terms", () => {
    const { terms } = runReference(conv, [
      value([1, 1, 1, 2], [2, -3]),
      value([1, 1, 1, 2], [5, 7]),
      value([1], [-11]),
    ]);
    expect([...terms]).toEqual([10 + 21 + 11]);
  });

  it("says what does not fit", () => {
    const infer =
      (shapes: readonly Shape[], attributes = {}) =>
      () =>
        problemOf(conv, shapes, attributes);
    expect(
      infer([
        [1, 3, 8, 8],
        [4, 2, 3, 3],
      ]),
    ).toThrow(/Conv: X \[1, 3, 8, 8\] has 3 channels.*\[M, 3, kH, kW\], got \[4, 2, 3, 3\]/);
    expect(
      infer(
        [
          [1, 3, 8, 8],
          [4, 1, 3, 3],
        ],
        { group: 2 },
      ),
    ).toThrow(/group 2 .* divides the 3 channels of X/);
    expect(
      infer(
        [
          [1, 2, 8, 8],
          [3, 1, 3, 3],
        ],
        { group: 2 },
      ),
    ).toThrow(/group 2 .* divides the 3 output channels/);
    expect(
      infer([
        [1, 1, 2, 8],
        [1, 1, 3, 3],
      ]),
    ).toThrow(/kernel of 3 does not fit into the padded input of 2/);
    expect(
      infer(
        [
          [1, 1, 6, 6],
          [1, 1, 3, 3],
        ],
        { dilations: [3, 1] },
      ),
    ).toThrow(/dilated to 7/);
    expect(
      infer(
        [
          [1, 1, 6, 6],
          [1, 1, 3, 3],
        ],
        { kernel_shape: [3, 5] },
      ),
    ).toThrow(/kernel_shape \[3, 5\]/);
    expect(infer([[1, 1, 6, 6], [2, 1, 3, 3], [3]])).toThrow(/B must be \[2\]/);
    expect(
      infer(
        [
          [1, 1, 6, 6],
          [1, 1, 3, 3],
        ],
        { strides: [0, 1] },
      ),
    ).toThrow(/strides/);
    expect(
      infer(
        [
          [1, 1, 6, 6],
          [1, 1, 3, 3],
        ],
        { pads: [1, 1] },
      ),
    ).toThrow(/pads/);
    expect(
      infer(
        [
          [1, 1, 6, 6],
          [1, 1, 3, 3],
        ],
        { auto_pad: "SAME" },
      ),
    ).toThrow(/auto_pad/);
    expect(
      infer([
        [1, 2, 6],
        [1, 1, 3],
      ]),
    ).toThrow(/W must be \[M, 2, kW\]/);
    expect(
      infer([
        [1, 1, 6, 6, 6, 6],
        [1, 1, 3, 3, 3, 3],
      ]),
    ).toThrow(UnsupportedError);
    expect(
      infer([
        [6, 6],
        [1, 1, 3, 3],
      ]),
    ).toThrow(ShapeError);
  });
});

describe("ConvTranspose", () => {
  /** As a plain convolution, of a zero-stuffed and padded input with the kernel turned by 180° and its channels swapped. */
  function byZeroStuffing(
    x: EagerTensor,
    w: EagerTensor,
    bias: EagerTensor | undefined,
    g: ConvGeometry,
  ): Float64Array {
    const front = (g.kD - 1) * g.dilationD - g.padFront;
    const marginTop = (g.kH - 1) * g.dilationH - g.padTop;
    const marginLeft = (g.kW - 1) * g.dilationW - g.padLeft;
    const depth = g.D + (g.kD - 1) * g.dilationD;
    const height = g.H + (g.kH - 1) * g.dilationH;
    const width = g.W + (g.kW - 1) * g.dilationW;
    const stuffed = new Float64Array(g.N * g.M * depth * height * width);
    x.data.forEach((element, index) => {
      const column = (index % g.outW) * g.strideW + marginLeft;
      const row = (Math.floor(index / g.outW) % g.outH) * g.strideH + marginTop;
      const slice = (Math.floor(index / (g.outW * g.outH)) % g.outD) * g.strideD + front;
      const plane = Math.floor(index / (g.outW * g.outH * g.outD));
      if (slice < 0 || row < 0 || column < 0 || slice >= depth || row >= height || column >= width) return;
      stuffed[((plane * depth + slice) * height + row) * width + column] = element;
    });
    const groupC = g.C / g.group;
    const groupM = g.M / g.group;
    const taps = g.kD * g.kH * g.kW;
    const turned = new Float64Array(w.data.length); // [C, M/group, kD, kH, kW]
    for (let m = 0; m < g.M; m++)
      for (let c = 0; c < groupC; c++)
        for (let k = 0; k < taps; k++) {
          const channel = Math.floor(m / groupM) * groupC + c;
          turned[(channel * groupM + (m % groupM)) * taps + (taps - 1 - k)] = w.data[(m * groupC + c) * taps + k]!;
        }
    const plain: ConvGeometry = {
      ...g,
      C: g.M,
      M: g.C,
      D: depth,
      H: height,
      W: width,
      outD: g.D,
      outH: g.H,
      outW: g.W,
      strideD: 1,
      strideH: 1,
      strideW: 1,
      padFront: 0,
      padTop: 0,
      padLeft: 0,
    };
    return convByUnfolding(value([g.N, g.M, depth, height, width], stuffed), value([], turned), bias, plain);
  }

  it.each(convTranspose.cases.map((entry) => [title(entry), entry] as const))("%s", (_, entry) => {
    const [X, W, B] = inputsOf(entry);
    const g = convTransposeGeometry(problemOf(convTranspose, shapesOf(entry), entry.attributes));
    const y = run(convTranspose, [X, W, B], entry.attributes);
    expectClose(y, value(y.shape, byZeroStuffing(X!, W!, B, g)));
  });

  // onnx/backend/test/case/node/convtranspose.py
  it("agrees with ONNX's worked examples", () => {
    const x = counting([1, 1, 3, 3]);
    const plane = [0, 1, 3, 3, 2, 3, 8, 15, 12, 7, 9, 21, 36, 27, 15, 9, 20, 33, 24, 13, 6, 13, 21, 15, 8];
    expect([...run(convTranspose, [x, ones([1, 2, 3, 3])]).data]).toEqual([...plane, ...plane]);

    const dilated = run(
      convTranspose,
      [value([1, 1, 3, 3], [3, 8, 1, 9, 5, 7, 3, 2, 6]), value([1, 1, 2, 2], [7, 2, 1, 9])],
      {
        dilations: [2, 2],
      },
    );
    expect([...dilated.data]).toEqual([
      21, 56, 13, 16, 2, 63, 35, 67, 10, 14, 24, 22, 76, 76, 21, 9, 5, 88, 45, 63, 3, 2, 33, 18, 54,
    ]);

    const padded = run(convTranspose, [x, ones([1, 1, 3, 3])], { strides: [3, 2], pads: [1, 2, 1, 2] });
    expect(padded.shape).toEqual([1, 1, 7, 3]);
    expect([...padded.data]).toEqual([1, 1, 3, 1, 1, 3, 7, 4, 9, 7, 4, 9, 7, 4, 9, 13, 7, 15, 13, 7, 15]);

    const rows = [
      [0, 0, 1, 1, 3, 2, 2, 0],
      [0, 0, 1, 1, 3, 2, 2, 0],
      [0, 0, 1, 1, 3, 2, 2, 0],
      [3, 3, 7, 4, 9, 5, 5, 0],
      [3, 3, 7, 4, 9, 5, 5, 0],
      [3, 3, 7, 4, 9, 5, 5, 0],
      [6, 6, 13, 7, 15, 8, 8, 0],
      [6, 6, 13, 7, 15, 8, 8, 0],
      [6, 6, 13, 7, 15, 8, 8, 0],
      [0, 0, 0, 0, 0, 0, 0, 0],
    ];
    const window = { strides: [3, 2], kernel_shape: [3, 3] };
    const shaped = run(convTranspose, [x, ones([1, 1, 3, 3])], { ...window, output_shape: [10, 8] });
    expect([...shaped.data]).toEqual(rows.flat());
    const extended = run(convTranspose, [x, ones([1, 1, 3, 3])], { ...window, output_padding: [1, 1] });
    expect([...extended.data]).toEqual(rows.flat());

    const same = run(convTranspose, [x, ones([1, 1, 3, 3])], { auto_pad: "SAME_UPPER", strides: [2, 2] });
    expect(same.shape).toEqual([1, 1, 6, 6]);
    expect([...same.data.subarray(0, 12)]).toEqual([0, 0, 1, 1, 3, 2, 0, 0, 1, 1, 3, 2]);
  });

  it("says what does not fit", () => {
    const infer =
      (shapes: readonly Shape[], attributes = {}) =>
      () =>
        problemOf(convTranspose, shapes, attributes);
    expect(
      infer([
        [1, 3, 4, 4],
        [2, 3, 3, 3],
      ]),
    ).toThrow(/W must be \[3, M\/group, kH, kW\], got \[2, 3, 3, 3\]/);
    expect(
      infer(
        [
          [1, 3, 4, 4],
          [3, 2, 3, 3],
        ],
        { group: 2 },
      ),
    ).toThrow(/group 2/);
    expect(
      infer(
        [
          [1, 1, 2, 2],
          [1, 1, 3, 3],
        ],
        { pads: [9, 0, 0, 0] },
      ),
    ).toThrow(/cut more than the 4 elements/);
    expect(
      infer([
        [1, 2, 4],
        [2, 2, 3, 3],
      ]),
    ).toThrow(/W must have 3 axes like X/);
  });
});

describe("ConvWeightGradient", () => {
  it.each(convWeightGradient.cases.map((entry) => [title(entry), entry] as const))("%s", (_, entry) => {
    const [X, dY] = inputsOf(entry) as [EagerTensor, EagerTensor];
    const dW = run(convWeightGradient, [X, dY], entry.attributes);
    const { kernel_shape: _kernel, ...window } = entry.attributes ?? {};
    const g = convGeometry(problemOf(conv, [X.shape, dW.shape], window));
    const groupM = g.M / g.group;
    const area = g.outD * g.outH * g.outW;
    const length = (g.C / g.group) * g.kD * g.kH * g.kW;
    const expected = new Float64Array(g.M * length);
    for (let group = 0; group < g.group; group++) {
      const patches = unfold(X, g, group);
      for (let m = group * groupM; m < (group + 1) * groupM; m++)
        patches.forEach((patch, place) => {
          const gradient = dY.data[(Math.floor(place / area) * g.M + m) * area + (place % area)]!;
          patch.forEach((element, i) => (expected[m * length + i]! += gradient * element));
        });
    }
    expectClose(dW, value(dW.shape, expected));
  });

  it("says what does not fit", () => {
    const infer =
      (shapes: readonly Shape[], attributes = {}) =>
      () =>
        problemOf(convWeightGradient, shapes, attributes);
    expect(
      infer([
        [1, 1, 6, 6],
        [1, 2, 4, 4],
      ]),
    ).toThrow(/kernel_shape must give 2 extents/);
    expect(
      infer(
        [
          [1, 1, 6, 6],
          [1, 2, 4, 5],
        ],
        { kernel_shape: [3, 3] },
      ),
    ).toThrow(/gives \[1, M, 4, 4\], but dY is \[1, 2, 4, 5\]/);
  });
});

describe("pooling", () => {
  const x5 = counting([1, 1, 5, 5], 1);
  const x4 = counting([1, 1, 4, 4], 1);

  // onnx/backend/test/case/node/maxpool.py
  it("MaxPool agrees with ONNX's worked examples", () => {
    const pool = (x: EagerTensor, attributes: Partial<typeof maxPool.attributes>) => [
      ...run(maxPool, [x], attributes).data,
    ];
    expect(pool(x5, { kernel_shape: [5, 5], pads: [2, 2, 2, 2] })).toEqual([
      13, 14, 15, 15, 15, 18, 19, 20, 20, 20, 23, 24, 25, 25, 25, 23, 24, 25, 25, 25, 23, 24, 25, 25, 25,
    ]);
    expect(pool(x5, { kernel_shape: [2, 2], strides: [2, 2] })).toEqual([7, 9, 17, 19]);
    expect(pool(x5, { kernel_shape: [3, 3], strides: [2, 2], auto_pad: "SAME_UPPER" })).toEqual([
      7, 9, 10, 17, 19, 20, 22, 24, 25,
    ]);
    expect(pool(x4, { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 })).toEqual([11, 12, 15, 16]);
    expect(pool(x4, { kernel_shape: [2, 2], dilations: [2, 2] })).toEqual([11, 12, 15, 16]);
    expect(pool(counting([1, 1, 2, 2], 1), { kernel_shape: [1, 1], strides: [2, 2], ceil_mode: 1 })).toEqual([1]);
  });

  // onnx/backend/test/case/node/averagepool.py
  it("AveragePool agrees with ONNX's worked examples", () => {
    const pool = (x: EagerTensor, attributes: Partial<typeof averagePool.attributes>) =>
      run(averagePool, [x], attributes);
    const padded = { kernel_shape: [5, 5], pads: [2, 2, 2, 2] };
    expectClose(
      pool(x5, padded),
      value(
        [1, 1, 5, 5],
        [
          7, 7.5, 8, 8.5, 9, 9.5, 10, 10.5, 11, 11.5, 12, 12.5, 13, 13.5, 14, 14.5, 15, 15.5, 16, 16.5, 17, 17.5, 18,
          18.5, 19,
        ],
      ),
    );
    expectClose(
      pool(x5, { ...padded, count_include_pad: 1 }),
      value(
        [1, 1, 5, 5],
        [
          2.52, 3.6, 4.8, 4.08, 3.24, 4.56, 6.4, 8.4, 7.04, 5.52, 7.2, 10, 13, 10.8, 8.4, 6.96, 9.6, 12.4, 10.24, 7.92,
          6.12, 8.4, 10.8, 8.88, 6.84,
        ],
      ),
    );
    const same = pool(x5, { kernel_shape: [3, 3], strides: [2, 2], auto_pad: "SAME_UPPER" });
    expect([...same.data]).toEqual([4, 5.5, 7, 11.5, 13, 14.5, 19, 20.5, 22]);
    expect([...pool(x4, { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }).data]).toEqual([6, 7.5, 12, 13.5]);
    const dilated = { kernel_shape: [2, 2], dilations: [2, 2], ceil_mode: 1 };
    expect([...pool(x4, dilated).data]).toEqual([6, 7, 10, 11]);
  });

  it("counts padding in an average, but nothing beyond it", () => {
    // Row of 4, padded to 6: windows of 3 at 0, 2 and 4; the last one reaches one place past the padding.
    const x = value([1, 1, 1, 4], [3, 6, 9, 12]);
    const attributes = { kernel_shape: [1, 3], strides: [1, 2], pads: [0, 1, 0, 1], ceil_mode: 1 };
    expect([...run(averagePool, [x], attributes).data]).toEqual([4.5, 9, 12]);
    expect([...run(averagePool, [x], { ...attributes, count_include_pad: 1 }).data]).toEqual([3, 9, 6]);
  });

  it("drops a window that would start in the end padding", () => {
    const shape = (extent: number, ceil_mode: number): number => {
      const attributes = { kernel_shape: [3, 3], strides: [3, 3], pads: [1, 1, 1, 1], ceil_mode };
      return poolGeometry(problemOf(maxPool, [[1, 1, extent, extent]], attributes)).height.out;
    };
    expect([shape(6, 0), shape(6, 1)]).toEqual([2, 3]); // starts at 6 of 7
    expect([shape(5, 0), shape(5, 1)]).toEqual([2, 2]); // a third would start at 6, in the end padding
  });

  it("gives windows that hold nothing the lowest float and an average of 0", () => {
    const attributes = { kernel_shape: [1, 2], dilations: [1, 3], pads: [0, 1, 0, 1] };
    expect([...run(maxPool, [ones([1, 1, 1, 2])], attributes).data]).toEqual([emptyMaximum("float32")]);
    expect([...run(averagePool, [ones([1, 1, 1, 2])], attributes).data]).toEqual([0]);
  });

  it("gives a window's gradient to its first maximum", () => {
    const x = value([1, 1, 2, 3], [1, 2, 2, 0, 2, 2]);
    const dX = run(maxPoolGradient, [x, value([1, 1, 1, 2], [10, 100])], { kernel_shape: [2, 2] });
    expect([...dX.data]).toEqual([0, 110, 0, 0, 0, 0]);
  });

  it.each([globalAveragePool, globalLpPool, globalMaxPool])("$name decomposes to itself", (operator: Operator) => {
    for (const entry of operator.cases) {
      const inputs = inputsOf(entry);
      expectClose(run(operator, inputs, entry.attributes), runReference(operator, inputs, entry.attributes).output);
    }
  });

  it("finds the places of maxima in either order", () => {
    const x = value([1, 2, 2, 3], [1, 2, 2, 0, 5, 2, 9, 1, 1, 1, 1, 8]);
    const window = { kernel_shape: [2, 2] };
    expect([...run(maxPoolIndices, [x], window).data]).toEqual([4, 4, 6, 11]);
    expect([...run(maxPoolIndices, [x], { ...window, storage_order: 1 }).data]).toEqual([3, 3, 6, 11]);
  });

  it("LpPool takes norms of windows", () => {
    const x = value([1, 1, 1, 4], [3, -4, 12, 0]);
    const norm = (p: number) => [...run(lpPool, [x], { kernel_shape: [1, 2], p }).data];
    expect(norm(1)).toEqual([7, 16, 12]);
    expectClose(value([3], norm(2)), value([3], [5, Math.hypot(4, 12), 12]));
    expectClose(value([3], norm(3)), value([3], [Math.cbrt(27 + 64), Math.cbrt(64 + 1728), 12]));
  });

  it("says what does not fit", () => {
    const infer =
      (shape: Shape, attributes = {}) =>
      () =>
        problemOf(maxPool, [shape], attributes);
    expect(infer([1, 1, 4, 4])).toThrow(/MaxPool: kernel_shape must be 2 positive integers/);
    expect(infer([1, 1, 4, 4], { kernel_shape: [5, 2] })).toThrow(/kernel of 5 does not fit/);
    expect(infer([1, 1, 4, 4], { kernel_shape: [2, 2], pads: [2, 0, 0, 0] })).toThrow(/smaller than the kernel/);
    expect(infer([1, 1, 4, 4], { kernel_shape: [2, 2], storage_order: 2 })).toThrow(/storage_order/);
    expect(infer([4, 4], { kernel_shape: [] })).toThrow(/X must be \[N, C, …\]/);
    expect(infer([1, 1, 2, 2, 2, 2], { kernel_shape: [1, 1, 1, 1] })).toThrow(UnsupportedError);
    expect(() => problemOf(lpPool, [[1, 1, 4, 4]], { kernel_shape: [2, 2], p: 0 })).toThrow(/p must be/);
    expect(() =>
      problemOf(
        maxPoolGradient,
        [
          [1, 1, 4, 4],
          [1, 1, 2, 2],
        ],
        { kernel_shape: [2, 2] },
      ),
    ).toThrow(/dY must be \[1, 1, 3, 3\]/);
    expect(() => problemOf(averagePoolGradient, [[1, 1, 2, 2]], { kernel_shape: [2, 2] })).toThrow(/input_shape/);
  });
});
