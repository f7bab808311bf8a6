// What operators mean, against numbers from outside: published formulas and vectors, and each composition against its own
// reference. Also the shapes and types they refuse, and the error bounds they promise.

import { describe, expect, test } from "vitest";
import { broadcastAxes, broadcastShapes, broadcastStrides } from "../../src/core/broadcast.ts";
import { roundToHalf } from "../../src/core/dtype.ts";
import { DTypeError, NeuriteError, ShapeError, UsageError } from "../../src/core/errors.ts";
import { philox, Random, wordToUniform } from "../../src/core/random.ts";
import {
  checkShape,
  formatType,
  normalizeAxes,
  normalizeAxis,
  sizeOf,
  stridesOf,
  type Shape,
  type TensorType,
} from "../../src/core/shape.ts";
import { filled, tensorData } from "../../src/core/tensorData.ts";
import { boundOf, evaluateReference, propagatePointwise } from "../../src/ops/evaluate.ts";
import * as operators from "../../src/ops/index.ts";
import { EPSILON, type Attributes, type Operator } from "../../src/ops/operator.ts";
import { roundingOf } from "../../src/ops/pointwise.ts";
import { sumTo } from "../../src/ops/expand.ts";
import { EagerBuilder, eagerTensor, sweep, type EagerTensor } from "../harness/eager.ts";
import { caseData, caseSeed } from "../harness/values.ts";

const all: readonly Operator[] = Object.values(operators).map((operator) => operator as unknown as Operator);

const float = (...shape: number[]): TensorType => ({ dtype: "float32", shape });
const int = (...shape: number[]): TensorType => ({ dtype: "int32", shape });
const bool = (...shape: number[]): TensorType => ({ dtype: "bool", shape });

/** An operand with these values; numbers are float64 here. */
const values = (shape: Shape, ...data: number[]): EagerTensor => ({
  dtype: "float32",
  shape,
  data: Float64Array.from(data),
});

/** Values of an operator's first output. */
function run<A extends Attributes>(
  operator: Operator<A>,
  inputs: readonly (EagerTensor | undefined)[],
  attributes?: Partial<A>,
): number[] {
  return [...new EagerBuilder().apply(operator, inputs, attributes).data];
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-12): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    if (!(difference <= tolerance * Math.max(1, Math.abs(expected[i]!))))
      expect.fail(`element ${i}: ${actual[i]} instead of ${expected[i]}`);
  }
}

describe("shapes", () => {
  test("sizes, strides and text", () => {
    expect(sizeOf([])).toBe(1);
    expect(sizeOf([3, 0, 2])).toBe(0);
    expect(stridesOf([2, 3, 4])).toEqual([12, 4, 1]);
    expect(formatType(int(2, 3))).toBe("int32 [2, 3]");
  });

  test("axes", () => {
    expect(normalizeAxis(-1, 3, "X")).toBe(2);
    expect(normalizeAxes([-1, 0], 3, "X")).toEqual([0, 2]);
    expect(() => normalizeAxis(3, 3, "X")).toThrow(/X: axis 3 is outside \[-3, 3\)/);
    expect(() => normalizeAxis(0, 0, "X")).toThrow(ShapeError);
    expect(() => normalizeAxes([0, -3], 3, "X")).toThrow(/given twice/);
    expect(() => checkShape([2, -1], "X")).toThrow(ShapeError);
    expect(() => checkShape([1.5], "X")).toThrow(ShapeError);
  });

  test("broadcasting", () => {
    expect(broadcastShapes([[4, 1, 3], [5, 1], []], "X")).toEqual([4, 5, 3]);
    expect(broadcastShapes([[2, 0], [1, 1]], "X")).toEqual([2, 0]); // prettier-ignore
    expect(() => broadcastShapes([[2, 3], [2]], "Add")).toThrow(
      /Add: shapes \[2, 3\] and \[2\] do not broadcast: axis 1/,
    );
    expect(() => broadcastShapes([[0], [2]], "Add")).toThrow(ShapeError);
    expect(broadcastStrides([3, 1], [2, 3, 5])).toEqual([0, 1, 0]);
    expect(broadcastAxes([3, 1], [2, 3, 5])).toEqual([0, 2]);
    expect(broadcastAxes([1, 1], [1, 1])).toEqual([]);
  });

  test("sumTo undoes a broadcast", () => {
    const build = new EagerBuilder();
    const ones = eagerTensor(filled(1, [2, 3, 5]));
    expect([...(sumTo(build, ones, [3, 1]) as EagerTensor).data]).toEqual([10, 10, 10]);
    expect([...(sumTo(build, ones, []) as EagerTensor).data]).toEqual([30]);
    expect(sumTo(build, ones, [2, 3, 5])).toBe(ones);
    expect(sumTo(build, eagerTensor(filled(1, [4, 0])), [0]).shape).toEqual([0]);
  });
});

describe("random numbers", () => {
  // Known answers of the authors' library, Random123 (kat_vectors, philox4x32-10).
  const ones = 0xffffffff;
  test.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [ones, ones, ones, ones],
      [ones, ones],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as [[number, number, number, number], [number, number], number[]][])(
    "Philox of %j under %j",
    (counter, key, words) => {
      expect(philox(counter, key)).toEqual(words);
    },
  );

  test("words become uniforms that are exact in float32", () => {
    expect(wordToUniform(0)).toBe(0);
    expect(wordToUniform(0xffffffff)).toBe(1 - 2 ** -24);
    expect(Math.fround(wordToUniform(0x12345678))).toBe(wordToUniform(0x12345678));
  });

  test("a stream is reproducible, uniform and independent of its neighbours", () => {
    const draw = (seed: number, stream: number): number[] => {
      const random = new Random(seed, stream);
      return Array.from({ length: 4096 }, () => random.uniform());
    };
    expect(draw(1, 0)).toEqual(draw(1, 0));
    const [a, b] = [draw(1, 0), draw(1, 1)];
    const mean = a.reduce((sum, x) => sum + x, 0) / a.length;
    const covariance = a.reduce((sum, x, i) => sum + (x - 0.5) * (b[i]! - 0.5), 0) / a.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(4 / Math.sqrt(12 * 4096));
    expect(Math.abs(covariance)).toBeLessThan(4 / (12 * Math.sqrt(4096)));
    expect([...new Random(7).permutation(100)].sort((x, y) => x - y)).toEqual([...Array(100).keys()]);
  });

  test("PhiloxUniform is the documented counter", () => {
    const key = eagerTensor(tensorData([9, 4], [2], "uint32"));
    const words = [0, 1].flatMap((block) => philox([block, 4, 3, 0], [9, 0]));
    expect(run(operators.philoxUniform, [key], { shape: [2, 3], stream: 3 })).toEqual(
      words.slice(0, 6).map(wordToUniform),
    );
  });

  test("Dropout keeps 1 - ratio of the elements and their mean", () => {
    const key = eagerTensor(tensorData([1, 0], [2], "uint32"));
    const kept = run(operators.dropout, [eagerTensor(filled(1, [4096])), key], { ratio: 0.25, training_mode: 1 });
    expect(new Set(kept)).toEqual(new Set([0, 1 / 0.75]));
    const share = kept.filter((x) => x > 0).length / kept.length;
    expect(Math.abs(share - 0.75)).toBeLessThan(4 * Math.sqrt((0.25 * 0.75) / 4096));
    expect(() =>
      operators.dropout.infer([float(3), { dtype: "uint32", shape: [2] }], {
        ...operators.dropout.attributes,
        ratio: 1,
      }),
    ).toThrow(UsageError);
  });
});

describe("published values", () => {
  // ONNX operator documentation, examples of Softmax and LogSoftmax.
  test("Softmax and LogSoftmax of -1, 0, 1", () => {
    expectClose(run(operators.softmax, [values([1, 3], -1, 0, 1)]), [0.09003058, 0.24472848, 0.66524094], 1e-7);
    expectClose(run(operators.logSoftmax, [values([1, 3], -1, 0, 1)]), [-2.4076061, -1.407606, -0.40760604], 1e-7);
  });

  test("Softmax does not overflow and knows its axis", () => {
    expectClose(run(operators.softmax, [values([2, 2], 1e4, 0, 1e4, 0)], { axis: 0 }), [0.5, 0.5, 0.5, 0.5]);
    expectClose(run(operators.softmax, [values([1, 2], 1e4, 0)]), [1, 0]);
  });

  test("transcendental functions", () => {
    expectClose(run(operators.tanh, [values([2], 1, -1)]), [0.7615941559557649, -0.7615941559557649]);
    expectClose(run(operators.sigmoid, [values([3], 1, 0, -100)]), [0.7310585786300049, 0.5, 3.720075976020836e-44]);
    expectClose(run(operators.pow, [values([3], -2, 4, 0), values([3], 3, 0.5, 2)]), [-8, 2, 0]);
  });

  test("cross-entropy of known probabilities", () => {
    const scores = values(
      [2, 3],
      Math.log(0.5),
      Math.log(0.25),
      Math.log(0.25),
      Math.log(0.5),
      Math.log(0.25),
      Math.log(0.25),
    );
    const labels = eagerTensor(tensorData([0, 1], [2], "int32"));
    const loss = operators.softmaxCrossEntropyLoss;
    expectClose(run(loss, [scores, labels]), [1.5 * Math.LN2]);
    expectClose(run(loss, [scores, labels], { reduction: "sum" }), [3 * Math.LN2]);
    expectClose(run(loss, [scores, labels], { reduction: "none" }), [Math.LN2, 2 * Math.LN2]);
    expectClose(run(loss, [scores, labels, values([3], 1, 3, 9)]), [(7 / 4) * Math.LN2]);
    expectClose(run(loss, [scores, labels], { ignore_index: 0 }), [2 * Math.LN2]);
    expectClose(run(loss, [values([2, 4], 0, 0, 0, 0, 0, 0, 0, 0), labels]), [Math.log(4)]);
  });

  test("cross-entropy of no labels is 0, and so is its gradient", () => {
    const build = new EagerBuilder();
    const scores = values([2, 3], 1, 2, 3, 4, 5, 6);
    const labels = eagerTensor(tensorData([-100, -100], [2], "int32"));
    const outputs = build.applyAll(operators.softmaxCrossEntropyLoss, [scores, labels], { ignore_index: -100 });
    expectClose(outputs[0]!.data, [0]);
    const [gradient] = sweep(build, outputs, [values([], 1), undefined], [scores]);
    expectClose(gradient!.data, [0, 0, 0, 0, 0, 0]);
  });

  test("reductions", () => {
    const x = values([2, 3], 1, 2, 3, 4, 5, 6);
    expect(run(operators.reduceSum, [x], { axes: [0] })).toEqual([5, 7, 9]);
    expectClose(run(operators.reduceMean, [x], { axes: [-1], keepdims: 0 }), [2, 5]);
    expect(run(operators.reduceMax, [x])).toEqual([6]);
    expect(run(operators.reduceSum, [x], { noop_with_empty_axes: 1 })).toEqual([1, 2, 3, 4, 5, 6]);
    expect(run(operators.reduceSum, [values([2, 0])], { axes: [1], keepdims: 0 })).toEqual([0, 0]);
  });

  test("Transpose moves element [i, j, k] to [k, i, j]", () => {
    const x = values([2, 3, 2], ...Array(12).keys());
    expect(run(operators.transpose, [x], { perm: [2, 0, 1] })).toEqual([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
    expect(run(operators.transpose, [values([2, 2], 1, 2, 3, 4)])).toEqual([1, 3, 2, 4]);
  });

  test("integers wrap and truncate", () => {
    const ints = (...data: number[]): EagerTensor => eagerTensor(tensorData(data, [data.length], "int32"));
    expect(run(operators.add, [ints(2 ** 31 - 1), ints(1)])).toEqual([-(2 ** 31)]);
    expect(run(operators.mul, [ints(123456789), ints(987654321)])).toEqual([Math.imul(123456789, 987654321)]);
    expect(run(operators.div, [ints(-7, 7, 5), ints(2, -2, 0)])).toEqual([-3, -3, 5]);
    expect(run(operators.cast, [ints(-1)], { to: "uint32" })).toEqual([2 ** 32 - 1]);
    expect(run(operators.cast, [values([2], -2.7, 2.7)], { to: "int32" })).toEqual([-2, 2]);
  });
});

describe("gradients where derivatives jump", () => {
  const gradientOf = (operator: Operator, inputs: EagerTensor[]): number[][] => {
    const build = new EagerBuilder();
    const outputs = build.applyAll(operator, inputs);
    const seed = { ...outputs[0]!, data: outputs[0]!.data.map(() => 1) };
    return sweep(build, outputs, [seed], inputs).map((gradient) => [...gradient!.data]);
  };

  test("Relu passes nothing at 0", () => {
    expect(gradientOf(operators.relu as unknown as Operator, [values([3], -1, 0, 1)])).toEqual([[0, 0, 1]]);
  });
  test("Max and Min halve it between equals", () => {
    const inputs = [values([3], 1, 2, 3), values([3], 3, 2, 1)];
    expect(gradientOf(operators.max as unknown as Operator, inputs)).toEqual([[0, 0.5, 1], [1, 0.5, 0]]); // prettier-ignore
    expect(gradientOf(operators.min as unknown as Operator, inputs)).toEqual([[1, 0.5, 0], [0, 0.5, 1]]); // prettier-ignore
  });
  test("ReduceMax shares it among equal maxima", () => {
    expect(gradientOf(operators.reduceMax as unknown as Operator, [values([4], 2, 1, 2, 0)])).toEqual([
      [0.5, 0, 0.5, 0],
    ]);
  });
});

describe("refusals", () => {
  const refuse = <A extends Attributes>(
    operator: Operator<A>,
    inputs: readonly (TensorType | undefined)[],
    attributes: Partial<A>,
    kind: new (message: string) => Error,
    message: RegExp,
  ): void => {
    const infer = (): unknown => operator.infer(inputs, { ...operator.attributes, ...attributes });
    expect(infer).toThrow(kind);
    expect(infer).toThrow(message);
  };

  test("wrong operands", () => {
    refuse(operators.add, [float(2, 3), float(4)], {}, ShapeError, /Add: shapes \[2, 3\] and \[4\]/);
    refuse(operators.add, [float(2)], {}, ShapeError, /Add: expected 2 inputs \(A, B\), got 1: float32 \[2\]/);
    refuse(operators.add, [float(2), int(2)], {}, DTypeError, /Add: .*float32 \[2\], int32 \[2\]/);
    refuse(operators.add, [bool(2), bool(2)], {}, DTypeError, /Add: A must be of a number type, got bool \[2\]/);
    refuse(operators.exp, [int(2)], {}, DTypeError, /Exp: input must be of a float type, got int32/);
    refuse(operators.not, [float()], {}, DTypeError, /Not/);
    refuse(operators.where, [float(2), float(2), float(2)], {}, DTypeError, /Where: condition must be bool/);
    refuse(operators.where, [bool(2), float(2), undefined], {}, ShapeError, /Where: expected 3 inputs/);
    refuse(operators.philoxUniform, [float(2)], {}, DTypeError, /PhiloxUniform: key/);
    refuse(operators.philoxUniform, [{ dtype: "uint32", shape: [3] }], {}, ShapeError, /uint32 \[2\]/);
  });

  test("wrong attributes", () => {
    refuse(operators.cast, [float(2)], { to: "bfloat16" }, DTypeError, /Cast: to must be one of/);
    refuse(operators.expand, [float(2, 3)], { shape: [4] }, ShapeError, /Expand: shapes \[2, 3\] and \[4\]/);
    refuse(operators.reduceSum, [float(2, 3)], { axes: [2] }, ShapeError, /ReduceSum: axis 2/);
    refuse(operators.softmax, [float()], {}, ShapeError, /Softmax: axis -1/);
    refuse(operators.transpose, [float(2, 3)], { perm: [0, 0] }, ShapeError, /Transpose: perm \[0, 0\]/);
    refuse(operators.transpose, [float(2, 3)], { perm: [0] }, ShapeError, /Transpose/);
    refuse(
      operators.reshape,
      [float(2, 3)],
      { shape: [4, -1] },
      ShapeError,
      /Reshape: cannot view \[2, 3\] as \[4, -1\]/,
    );
    refuse(operators.reshape, [float(2, 3)], { shape: [-1, -1] }, ShapeError, /-1 may stand once/);
    refuse(operators.reshape, [float(2, 3)], { shape: [6, 1, 0] }, ShapeError, /no extent to copy/);
    refuse(operators.reshape, [float(0, 3)], { shape: [0, -1] }, ShapeError, /ambiguous/);
    refuse(operators.flatten, [float(2, 3)], { axis: 3 }, ShapeError, /Flatten: axis 3/);
  });

  test("wrong losses", () => {
    const loss = operators.softmaxCrossEntropyLoss;
    refuse(loss, [float(2, 3), int(3)], {}, ShapeError, /scores \[2, 3\] and labels \[3\]/);
    refuse(loss, [float(2, 3), float(2)], {}, DTypeError, /labels must be of an? integer type/);
    refuse(loss, [float(2, 3), int(2), float(2)], {}, ShapeError, /weights must be \[3\]/);
    refuse(loss, [float(2, 3), int(2)], { reduction: "max" }, UsageError, /mean, sum, none/);
  });

  test("Pointwise never stands in a graph", () => {
    expect(() => operators.pointwise.infer([], {})).toThrow(NeuriteError);
  });
});

describe("compositions equal their references", () => {
  for (const operator of all.filter((candidate) => candidate.decompose !== undefined))
    test.each(operator.cases.map((_, index) => index))(`${operator.name} case %i`, (index) => {
      const { inputs, problem } = caseData(operator, index);
      const results = evaluateReference(operator, inputs, problem);
      const outputs = new EagerBuilder().applyAll(
        operator,
        inputs.map((input) => input && eagerTensor(input)),
        problem.attributes,
      );
      expect(outputs.map(({ shape, dtype }) => ({ shape, dtype }))).toEqual(
        problem.outputs.map(({ shape, dtype }) => ({ shape, dtype })),
      );
      outputs.forEach(({ data }, i) => expectClose(data, results[i]!.values, 1e-10));
    });
});

describe("error bounds", () => {
  test("boundOf is k ε Σ|terms|, and nothing for booleans", () => {
    const { inputs, problem } = caseData(operators.reduceSum, 2);
    const [result] = evaluateReference(operators.reduceSum, inputs, problem);
    const terms = [...inputs[0]!.data].reduce((sum, x) => sum + Math.abs(x), 0);
    expectClose(boundOf(operators.reduceSum, problem, 0, result!), [(4 + 2 * Math.sqrt(257)) * EPSILON * terms]);
    const compared = caseData(operators.greater, 2);
    const [answer] = evaluateReference(operators.greater, compared.inputs, compared.problem);
    expect(boundOf(operators.greater, compared.problem, 0, answer!).every((bound) => bound === 0)).toBe(true);
  });

  test("a doubtful comparison makes a choice doubtful, a certain one does not", () => {
    const link = (operator: Operator, args: number[], errors: number[]): number => {
      const dtype = operator.name === "Greater" ? "bool" : "float32";
      const [values, doubts] = [args, errors].map((numbers) => numbers.map((number) => [number])) as [
        number[][],
        number[][],
      ];
      return propagatePointwise(operator, {}, values, doubts, args.map(() => []), [], dtype).errors[0]!; // prettier-ignore
    };
    const greater = operators.greater as unknown as Operator;
    const where = operators.where as unknown as Operator;
    expect(link(greater, [1e-7, 0], [1e-6, 0])).toBe(1);
    expect(link(greater, [1e-3, 0], [1e-6, 0])).toBe(0);
    expect(link(greater, [0, 0], [0, 0])).toBe(0);
    expectClose([link(where, [1, 5, 2], [1, 0.5, 0.25])], [3.5], 1e-5);
    expectClose([link(where, [1, 5, 2], [0, 0.5, 0.25])], [0.5], 1e-5);
    expect(link(operators.relu as unknown as Operator, [-1], [0.5])).toBe(0);
  });

  for (const operator of all.filter(({ pointwise }) => pointwise !== undefined))
    test(`${operator.name}: results of moved arguments stay within what it propagates`, () => {
      let checked = 0;
      operator.cases.forEach((_, index) => {
        const { inputs, problem } = caseData(operator, index);
        const operands = inputs.map((input) => eagerTensor(input!));
        const random = new Random(caseSeed(operator.name, index), 77);
        // Integers and booleans move by whole steps: leave them.
        const errors = operands.map(({ data, dtype }) =>
          data.map(() => (dtype === "float32" && random.uniform() < 0.8 ? random.uniform() * 0.1 : 0)),
        );
        const shapes = operands.map(({ shape }) => shape);
        const { shape, dtype } = problem.outputs[0]!;
        const promise = propagatePointwise(operator, problem.attributes, operands.map(({ data }) => data), errors, shapes, shape, dtype); // prettier-ignore
        const moved = operands.map((operand, i) => ({
          ...operand,
          data: operand.data.map(
            (x, at) => x + errors[i]![at]! * [-1, 1, random.uniform() * 2 - 1][random.integer(3)]!,
          ),
        }));
        const [result] = evaluateReference(operator, moved, problem);
        result!.values.forEach((value, at) => {
          checked++;
          const stored = dtype === "float16" ? roundToHalf(value) : value;
          const [error, allowed] = [Math.abs(stored - promise.values[at]!), promise.errors[at]!];
          if (Number.isFinite(allowed) && !(error <= allowed * (1 + 1e-9)))
            expect.fail(`case ${index}, element ${at}: moved by ${error}, allowed ${allowed}`);
        });
      });
      expect(checked).toBeGreaterThan(0);
    });

  // The formulas of the WGSL helpers in float32, with every operation rounded and exp exact: within the promised bounds.
  const f = Math.fround;
  const tanhInFloat32 = (x: number): number => {
    const a = Math.min(Math.abs(x), 10);
    const z = f(a * a);
    let p = f(-5.70498872745e-3);
    for (const c of [2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1]) p = f(f(p * z) + f(c));
    const small = f(a + f(f(a * z) * p));
    const large = f(1 - f(2 / f(f(Math.exp(2 * a)) + 1)));
    return Math.sign(x) * (a < 0.625 ? small : large);
  };
  const sigmoidInFloat32 = (x: number): number => {
    const t = f(Math.exp(-Math.abs(x)));
    return f((x >= 0 ? 1 : t) / f(1 + t));
  };
  test.each([
    ["Tanh", operators.tanh, tanhInFloat32],
    ["Sigmoid", operators.sigmoid, sigmoidInFloat32],
  ] as const)("%s in float32 keeps its bound and stays finite", (_, operator, inFloat32) => {
    for (let i = -4000; i <= 4000; i++) {
      const x = f(Math.sign(i) * 10 ** (Math.abs(i) / 600 - 4));
      const exact = operator.pointwise!.evaluate([x], {});
      const allowed = roundingOf(operator.pointwise!, [x], exact, {}, "float32") + 2 ** -126;
      const error = Math.abs(inFloat32(x) - exact);
      if (!(error <= allowed)) expect.fail(`at ${x}: off by ${error}, allowed ${allowed}`);
    }
  });
});

describe("cases", () => {
  test("values are the same in every run, in range, and float32", () => {
    const [a, b] = [caseData(operators.log, 3), caseData(operators.log, 3)];
    expect(a.inputs[0]!.data).toEqual(b.inputs[0]!.data);
    expect(a.inputs[0]!.data.every((x) => x >= Math.fround(0.1) && x < 4)).toBe(true);
    expect(caseSeed("Log", 3)).not.toBe(caseSeed("Log", 4));
  });

  test("distinct values differ across inputs and avoid 0", () => {
    const { inputs } = caseData(operators.max, 2, { distinct: true });
    const drawn = inputs.flatMap((input) => [...input!.data]);
    expect(new Set(drawn).size).toBe(130);
    expect(Math.min(...drawn.map(Math.abs))).toBeGreaterThan(0.9 / 130);
  });

  for (const operator of all.filter(({ name }) => name !== "Pointwise"))
    test(`${operator.name}: every case infers, evaluates and has finite bounds`, () => {
      operator.cases.forEach((_, index) => {
        const { inputs, problem, title } = caseData(operator, index);
        if (operator.flops(problem) > 2e7) return; // the loops are the same
        const results = evaluateReference(operator, inputs, problem);
        results.forEach((result, i) => {
          expect(result.values.every(Number.isFinite), title).toBe(true);
          const bounds = boundOf(operator, problem, i, result);
          expect(
            bounds.every((bound) => bound >= 0 && Number.isFinite(bound)),
            title,
          ).toBe(true);
        });
      });
    });
});
