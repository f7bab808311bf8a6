// A dimension of a dispatch ends at 65,535 workgroups; past that, kernels fold into a second one. A wrong fold skips
// elements or computes some twice, and only shows at sizes that no other test has. Tiny workgroups make such sizes cheap.

import { afterAll, expect, test } from "vitest";
import {
  add,
  averagePool,
  averagePoolGradient,
  maxPool,
  maxPoolGradient,
  philoxUniform,
  reduceMax,
  reduceSum,
  relu,
  softmax,
  standardization,
  transpose,
} from "../../src/ops/index.ts";
import { tensorData } from "../../src/core/tensorData.ts";
import type { Shape } from "../../src/core/shape.ts";
import type { Attributes, CaseInput, Operator } from "../../src/ops/operator.ts";
import { pointwise } from "../../src/ops/pointwise.ts";
import { linearDispatch } from "../../shaders/common/linear.ts";
import { loadStrategies } from "../../shaders/index.ts";
import { parameterSets, type Parameters } from "../../shaders/strategy.ts";
import { failuresOf } from "../harness/kernelChecks.ts";
import { acquireKernelGpu, releaseKernelGpus } from "../harness/kernelGpu.ts";
import { evaluateProgram, exactly, prepareProblem, randomTensor } from "../harness/operatorCases.ts";
import { ProgramBuilder, programProblem } from "../harness/programs.ts";

const MAX_WORKGROUPS = 65535;

const gpu = await acquireKernelGpu();
afterAll(() => {
  gpu.dispose();
  releaseKernelGpus();
});

async function strategyOf(operator: Operator, name: string) {
  return (await loadStrategies(operator.name)).find((strategy) => strategy.name === name)!;
}

test("linearDispatch covers every count with as few workgroups as it can", () => {
  for (const count of [0, 1, 63, 64, 65, 64 * MAX_WORKGROUPS, 64 * MAX_WORKGROUPS + 1, 2 ** 27, 2 ** 32 - 1]) {
    const [x, y, z] = linearDispatch(count, 64);
    expect(Math.max(x, y)).toBeLessThanOrEqual(MAX_WORKGROUPS);
    expect(Math.min(x, y, z)).toBeGreaterThanOrEqual(1);
    expect(x * y * z * 64).toBeGreaterThanOrEqual(count);
    expect((x - 1) * y * z * 64).toBeLessThan(Math.max(1, count));
  }
});

/** Adds a row to rows of `shape`, then Relu. */
function biasProgram(shape: Shape) {
  const builder = new ProgramBuilder();
  const sum = builder.apply(add, [builder.input(shape), builder.input([shape.at(-1)!])]);
  return builder.build(builder.apply(relu, [sum]));
}

test.each([
  ["naive", { workgroup: 1 }, [10_001, 7]],
  ["naive", { workgroup: 64 }, [1_049_000, 4]],
  ["vec4", { workgroup: 1, vectors: 1 }, [65_537, 4]],
  ["vec4", { workgroup: 2, vectors: 1 }, [40_001, 16]],
] as const)("Pointwise/%s %o on %o", async (name, params, shape) => {
  const program = biasProgram(shape);
  const problem = programProblem(program);
  const inputs = program.inputs.map((type, i) => randomTensor(type, i));
  const strategy = await strategyOf(pointwise, name);
  const [x, y] = strategy.dispatch(problem, params);
  expect(x * y).toBeGreaterThan(MAX_WORKGROUPS);
  const expected = evaluateProgram(program, inputs.map(exactly));
  const task = { operator: pointwise, strategy, params, problem, inputs };
  expect(await failuresOf(gpu, [{ what: "many workgroups", task, expected }])).toEqual([]);
});

const window: Attributes = { kernel_shape: [2, 2], strides: [2, 2] };
const many: readonly (readonly [Operator, string, Parameters, readonly CaseInput[], Attributes])[] = [
  [reduceSum, "naive", { workgroup: 1 }, [[65_539, 3]], { axes: [1] }],
  [reduceMax, "naive", { workgroup: 1 }, [[3, 65_539]], { axes: [0] }],
  [reduceSum, "rowVec4", { workgroup: 1 }, [[65_539, 4]], { axes: [1] }],
  [reduceSum, "columnsVec4", { workgroup: 1 }, [[3, 4 * 65_539]], { axes: [0] }],
  [reduceSum, "subgroup", { workgroup: 4, rows: 1 }, [[65_539, 3]], { axes: [1] }],
  [reduceSum, "workgroupTree", { workgroup: 2 }, [[65_539, 3]], { axes: [1] }],
  [softmax, "naive", { workgroup: 1 }, [[65_539, 3]], {}],
  [softmax, "online", { workgroup: 1 }, [[65_539, 4]], {}],
  [softmax, "subgroup", { workgroup: 4, rows: 1 }, [[65_539, 3]], {}],
  [softmax, "workgroup", { workgroup: 2 }, [[65_539, 3]], {}],
  [standardization, "naive", { workgroup: 1 }, [[65_539, 3]], { epsilon: 0.1 }],
  [standardization, "welford", { workgroup: 1 }, [[65_539, 4]], { epsilon: 0.1 }],
  [standardization, "subgroup", { workgroup: 4, rows: 1 }, [[65_539, 3]], { epsilon: 0.1 }],
  [standardization, "workgroup", { workgroup: 2 }, [[65_539, 3]], { epsilon: 0.1 }],
  [transpose, "naive", { workgroup: 1 }, [[65_539, 2]], {}],
  [transpose, "tiled", { tile: 2 }, [[65_539, 2, 2]], { perm: [0, 2, 1] }],
  [maxPool, "naive", { workgroup: 1 }, [[1, 2, 512, 260]], window],
  [averagePool, "naive", { workgroup: 1 }, [[1, 2, 512, 260]], window],
  [
    maxPoolGradient,
    "naive",
    { workgroup: 1 },
    [
      [1, 2, 256, 130],
      [1, 2, 128, 65],
    ],
    window,
  ],
  [averagePoolGradient, "naive", { workgroup: 1 }, [[1, 2, 128, 65]], { ...window, input_shape: [256, 130] }],
];

test.each(many.map((entry) => ({ what: `${entry[0].name}/${entry[1]}`, entry })))("$what", async ({ entry }) => {
  const [operator, name, params, inputShapes, attributes] = entry;
  const inputs = inputShapes.map((input, i) => randomTensor(input, i));
  const { label, problem, expected } = prepareProblem(operator, inputs, attributes);
  const strategy = await strategyOf(operator, name);
  const [x, y] = strategy.dispatch(problem, params);
  expect(x * y).toBeGreaterThan(MAX_WORKGROUPS);
  const task = { operator, strategy, params, problem, inputs };
  expect(await failuresOf(gpu, [{ what: label, task, expected }])).toEqual([]);
});

test("PhiloxUniform/naive", async () => {
  const key = tensorData([7, 3], [2], "uint32");
  const { label, problem, expected } = prepareProblem(philoxUniform, [key], { shape: [262_147], stream: 1 });
  const strategy = await strategyOf(philoxUniform, "naive");
  const task = { operator: philoxUniform, strategy, params: { workgroup: 1 }, problem, inputs: [key] };
  expect(await failuresOf(gpu, [{ what: label, task, expected }])).toEqual([]);
});

test("every strategy keeps a huge problem's dispatch within the limit, or refuses it", async () => {
  const shape = [2 ** 26];
  const problem = programProblem(biasProgram(shape));
  for (const strategy of await loadStrategies(pointwise.name))
    for (const params of parameterSets(strategy))
      expect(Math.max(...strategy.dispatch(problem, params))).toBeLessThanOrEqual(MAX_WORKGROUPS);
});
