// Networks and attention are compositions with references of their own: each case's parts, evaluated one by one, must give
// what the reference says. And what the cases of both could get wrong alike.

import { describe, expect, it } from "vitest";
import { ShapeError, UnsupportedError } from "../../src/core/errors.ts";
import type { TensorType } from "../../src/core/shape.ts";
import { attention } from "../../src/ops/attention.ts";
import { einsum } from "../../src/ops/einsum.ts";
import { evaluateReference } from "../../src/ops/evaluate.ts";
import type { Attributes, Operator } from "../../src/ops/operator.ts";
import { gru, lstm, rnn } from "../../src/ops/recurrent.ts";
import { rotaryEmbedding } from "../../src/ops/rotary.ts";
import { EagerBuilder, eagerTensor } from "../harness/eager.ts";
import { caseData } from "../harness/values.ts";

const compositions = [attention, einsum, rotaryEmbedding, rnn, lstm, gru] as unknown as readonly Operator[];

describe.each(compositions.map((operator) => [operator.name, operator] as const))("%s", (_, operator) => {
  it.each(operator.cases.map((_, index) => caseData(operator, index)))("$title", ({ inputs, problem }) => {
    const build = new EagerBuilder();
    const operands = inputs.map((input) => input && eagerTensor(input));
    const parts = build.applyAll(operator, operands, problem.attributes);
    const whole = evaluateReference(operator, operands, problem);
    whole.forEach(({ values }, i) => {
      expect(parts[i]!.shape).toEqual(problem.outputs[i]!.shape);
      // Constants such as 1/√size are rounded to float32 here and there.
      values.forEach((value, at) => {
        const actual = parts[i]!.data[at]!;
        if (actual !== value && !(Math.abs(actual - value) <= 1e-6 * (1 + Math.abs(value))))
          expect.fail(`output ${i} [${at}]: parts ${actual}, reference ${value}`);
      });
    });
  });
});

const float = (...shape: number[]): TensorType => ({ dtype: "float32", shape });

function infer<A extends Attributes>(operator: Operator<A>, inputs: readonly TensorType[], attributes: Partial<A>) {
  return operator.infer(inputs, { ...operator.attributes, ...attributes });
}

describe("what does not fit is named", () => {
  it("Einsum", () => {
    const apply =
      (equation: string, ...inputs: TensorType[]) =>
      () =>
        infer(einsum, inputs, { equation });
    expect(apply("ij,jk", float(2, 3))).toThrow(ShapeError);
    expect(apply("ij,jk->ik", float(2, 3), float(4, 5))).toThrow(/index j is 3 and 4/);
    expect(apply("i->ij", float(2))).toThrow(/no operand has/);
    expect(apply("ij->ii", float(2, 2))).toThrow(/twice/);
    expect(apply("i1->i", float(2, 2))).toThrow(/not a list of indices/);
  });

  it("LSTM", () => {
    const X = float(3, 2, 4);
    const [W, R] = [float(1, 20, 4), float(1, 20, 5)];
    expect(infer(lstm, [X, W, R], {}).map(({ shape }) => shape)).toEqual([
      [3, 1, 2, 5],
      [1, 2, 5],
      [1, 2, 5],
    ]);
    expect(() => infer(lstm, [X, float(1, 20, 3), R], {})).toThrow(/W must be \[1, 20, 4\]/);
    expect(() => infer(lstm, [X, W, R], { direction: "bidirectional" })).toThrow(ShapeError);
    expect(() => infer(lstm, [X, W, R], { direction: "sideways" })).toThrow(UnsupportedError);
    expect(() => infer(lstm, [X, W, R], { activations: "Tanh" })).toThrow(/3 activations/);
    expect(() => infer(lstm, [X, W, R], { activations: "Tanh,Tanh,Sine" })).toThrow(/"sine" is not known/);
  });

  it("Attention", () => {
    const Q = float(1, 3, 4, 8);
    expect(() => infer(attention, [Q, float(1, 2, 5, 8), float(1, 2, 5, 8)], {})).toThrow(/3 query heads/);
    expect(() => infer(attention, [Q, float(1, 3, 5, 8), float(1, 3, 6, 8)], {})).toThrow(ShapeError);
    expect(() => infer(attention, [float(1, 4, 8), float(1, 4, 8), float(1, 4, 8)], {})).toThrow(/0 heads/);
  });
});

describe("Attention", () => {
  it("gives a query from which everything is hidden a result of 0", () => {
    const operands = [float(1, 1, 2, 1), float(1, 1, 2, 1), float(1, 1, 2, 1)].map((type) =>
      eagerTensor({ ...type, data: Float32Array.of(1, 2) }),
    );
    const mask = eagerTensor({ dtype: "bool", shape: [2, 2], data: Uint32Array.of(0, 0, 1, 0) });
    const [Y] = new EagerBuilder().applyAll(attention, [...operands, mask], {});
    expect([...Y!.data]).toEqual([0, 1]);
  });
});
