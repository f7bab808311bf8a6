// Types narrower than a word: what elementwise kernels and epilogues store must be what the type can hold, bit for bit; and
// what elementwise kernels make of NaN, infinities and limits of integers, which cases of random numbers do not bring.

import { afterAll, expect, test } from "vitest";
import { roundToHalf, storeValues, type DType } from "../../src/core/dtype.ts";
import { tensorData, type TensorData } from "../../src/core/tensorData.ts";
import * as operators from "../../src/ops/index.ts";
import type { Attributes, Operator } from "../../src/ops/operator.ts";
import { loadStrategies } from "../../shaders/index.ts";
import { parameterSets } from "../../shaders/strategy.ts";
import { failuresOf, type Check } from "../harness/kernelChecks.ts";
import { acquireKernelGpu, releaseKernelGpus } from "../harness/kernelGpu.ts";
import { ProgramBuilder, programProblem, singleProgram } from "../harness/programs.ts";

const gpu = await acquireKernelGpu();
afterAll(() => {
  gpu.dispose();
  releaseKernelGpus();
});

/** Failures of a single elementwise operator by the naive kernel; results must be exactly `expected`. */
async function failures(
  operator: Operator,
  inputs: readonly TensorData[],
  given: Attributes,
  expected: readonly number[],
): Promise<string[]> {
  const attributes = { ...operator.attributes, ...given };
  const [output] = operator.infer(inputs, attributes);
  const naive = (await loadStrategies("Pointwise")).find(({ name }) => name === "naive")!;
  const check: Check = {
    what: `${operator.name} of ${inputs.map(({ data }) => String(data)).join("; ")}`,
    expected: [{ values: Float64Array.from(expected), errors: new Float64Array(expected.length) }],
    task: {
      operator: operators.pointwise,
      strategy: naive,
      params: parameterSets(naive)[0]!,
      problem: programProblem(singleProgram(operator, inputs, output!, attributes)),
      inputs,
    },
  };
  return failuresOf(gpu, [check]);
}

const vector = (values: readonly number[], dtype: DType = "float32"): TensorData =>
  tensorData(values, [values.length], dtype);

test("Cast to float16 rounds to nearest, ties to even, at every magnitude", async () => {
  const values: number[] = [0, -0, 65504, 65519.996, 65520, -65520, 1e9, Infinity, -Infinity, NaN, 1e-40];
  for (let exponent = -26; exponent <= 16; exponent++)
    for (const fraction of [0, 1, 511.5, 512, 512.5, 1022.5, 1023, 1023.5])
      for (const nudge of [-(2 ** -10), 0, 2 ** -10])
        for (const sign of [-1, 1]) values.push(sign * 2 ** exponent * (1 + (fraction + nudge) / 1024));
  const x = vector(values);
  expect(await failures(operators.cast, [x], { to: "float16" }, [...x.data].map(roundToHalf))).toEqual([]);
});

test.each(["int8", "uint8", "int16", "uint16"] as const)("%s results wrap", async (dtype) => {
  const x = vector([-129, -128, -1, 0, 127, 128, 255, 256, 32767, 32768, 65535, 65536, -32769], "int32");
  expect(await failures(operators.cast, [x], { to: dtype }, [...storeValues(x.data, dtype, "")])).toEqual([]);
  const [low, high] = [vector([1, 200, 250], dtype), vector([2, 100, 7], dtype)];
  const sums = [...low.data].map((value, i) => value + high.data[i]!);
  expect(await failures(operators.add, [low, high], {}, [...storeValues(sums, dtype, "")])).toEqual([]);
});

test("a chain of float16 operators rounds after each", async () => {
  const builder = new ProgramBuilder();
  const [a, b] = [builder.input([4], "float16"), builder.input([4], "float16")];
  const product = builder.apply(operators.mul, [a, b]);
  const difference = builder.apply(operators.sub, [product, a]);
  const inputs = [vector([300, 1.001, 3, -2048], "float16"), vector([300, 1.001, 0.1, 33], "float16")];
  const [x, y] = inputs.map(({ data }) => [...data]);
  const expected = x!.map((value, i) => roundToHalf(roundToHalf(value * y![i]!) - value));
  const checks = (await loadStrategies("Pointwise")).map((strategy): Check => {
    const problem = programProblem(builder.build(difference));
    const task = { operator: operators.pointwise, strategy, params: parameterSets(strategy)[0]!, problem, inputs };
    return {
      what: "a·b - a",
      expected: [{ values: Float64Array.from(expected), errors: new Float64Array(4) }],
      task,
    };
  });
  expect(await failuresOf(gpu, checks)).toEqual([]);
});

test.each(["float16", "int8"] as const)("a heavy kernel stores %s", async (dtype) => {
  const operator = operators.transpose as unknown as Operator;
  const x = tensorData([1, -2, 3, -4, 5, -6], [2, 3], dtype);
  const attributes = { perm: [1, 0] };
  const outputs = operator.infer([x], attributes);
  const builder = new ProgramBuilder();
  const value = builder.input([3, 2], dtype);
  const program = builder.build(builder.apply(operators.mul, [value, builder.literal(100, dtype)]));
  const expected = storeValues([100, -400, -200, 500, 300, -600], dtype, "");
  const checks = (await loadStrategies("Transpose"))
    .filter(
      (strategy) =>
        strategy.supports({ inputs: [x], outputs, attributes }, gpu.limits, parameterSets(strategy)[0]!) === true,
    )
    .map((strategy): Check => {
      const problem = { inputs: [x], outputs, attributes, program };
      const task = { operator, strategy, params: parameterSets(strategy)[0]!, problem, inputs: [x] };
      return {
        what: "Transpose times 100",
        expected: [{ values: Float64Array.from(expected), errors: new Float64Array(6) }],
        task,
      };
    });
  expect(checks.length).toBeGreaterThan(0);
  expect(await failuresOf(gpu, checks)).toEqual([]);
});

const ODD = [NaN, Infinity, -Infinity, 0, -0, 1, -1];

test.each([
  operators.abs,
  operators.ceil,
  operators.elu,
  operators.erf,
  operators.floor,
  operators.gelu,
  operators.hardSigmoid,
  operators.isInf,
  operators.isNan,
  operators.leakyRelu,
  operators.neg,
  operators.relu,
  operators.round,
  operators.selu,
  operators.sign,
  operators.softplus,
  operators.thresholdedRelu,
] as unknown as Operator[])("$name of NaN and infinities", async (operator) => {
  const values = ODD.slice(0, 5); // where nothing rounds but what should not
  const expected = values.map((x) => operator.pointwise!.evaluate([x], operator.attributes));
  const inexact = operator === (operators.softplus as unknown as Operator) ? 3 : 5;
  expect(await failures(operator, [vector(values.slice(0, inexact))], {}, expected.slice(0, inexact))).toEqual([]);
});

test.each([
  operators.acos,
  operators.acosh,
  operators.asin,
  operators.atanh,
  operators.cos,
  operators.sin,
  operators.tan,
] as unknown as Operator[])("$name is NaN where it has no value", async (operator) => {
  const x = vector([NaN, -Infinity, operator.name === "Acosh" ? 0.5 : Infinity]);
  expect(await failures(operator, [x], {}, [NaN, NaN, NaN])).toEqual([]);
});

test.each([
  operators.equal,
  operators.greater,
  operators.greaterOrEqual,
  operators.less,
  operators.lessOrEqual,
  operators.max,
  operators.min,
] as unknown as Operator[])("$name beside NaN and infinities", async (operator) => {
  const pairs = ODD.flatMap((a) => ODD.map((b) => [a, b] as const));
  const [a, b] = [vector(pairs.map(([x]) => x)), vector(pairs.map(([, y]) => y))];
  const expected = pairs.map((pair) => operator.pointwise!.evaluate(pair, {}));
  expect(await failures(operator, [a, b], {}, expected)).toEqual([]);
});

test.each([
  [operators.div, [7, -7, -(2 ** 31), 5], [0, 2, -1, -3]],
  [operators.mod, [7, -7, -(2 ** 31), 5], [0, 2, -1, -3]],
  [operators.pow, [3, -2, 7, 2], [20, 31, -1, 40]],
] as unknown as [Operator, number[], number[]][])("$name of integers at their limits", async (operator, a, b) => {
  const inputs = [vector(a, "int32"), vector(b, "int32")];
  const [output] = operator.reference(inputs, {
    inputs,
    outputs: operator.infer(inputs, operator.attributes),
    attributes: operator.attributes,
  });
  expect(await failures(operator, inputs, {}, [...output!.values])).toEqual([]);
});

test("literals that WGSL would refuse compile", async () => {
  for (const [operator, value] of [
    [operators.div, 0],
    [operators.mod, 0],
    [operators.bitShift, 40],
  ] as const) {
    const dtype = operator === operators.bitShift ? "uint32" : "int32";
    const builder = new ProgramBuilder();
    const result = builder.apply(operator, [builder.input([3], dtype), builder.literal(value, dtype)]);
    const naive = (await loadStrategies("Pointwise")).find(({ name }) => name === "naive")!;
    const values = operator === operators.div ? [1, 2, 3] : [0, 0, 0];
    const task = {
      operator: operators.pointwise,
      strategy: naive,
      params: parameterSets(naive)[0]!,
      problem: programProblem(builder.build(result)),
      inputs: [vector([1, 2, 3], dtype)],
    };
    const expected = [{ values: Float64Array.from(values), errors: new Float64Array(3) }];
    expect(await failuresOf(gpu, [{ what: operator.name, expected, task }])).toEqual([]);
  }
});
