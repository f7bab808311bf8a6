// Every strategy on operands in narrow storage: packed halves and bytes must give what words give, whichever way a kernel
// looks at its bindings. Values are rounded to what the storage holds, so that nothing else about a case changes. Arrays of
// halves, which kernels write as well, run where the adapter has `shader-f16`; elsewhere their kernels are compiled.

import { afterAll, describe, expect, test } from "vitest";
import { dtypes, roundToHalf } from "../../src/core/dtype.ts";
import { DTypeError } from "../../src/core/errors.ts";
import { NarrowestStorage, type Storage } from "../../src/core/storage.ts";
import { tensorData, type TensorData } from "../../src/core/tensorData.ts";
import { pointwise } from "../../src/ops/pointwise.ts";
import * as operatorModule from "../../src/ops/index.ts";
import type { CaseInput, Operator } from "../../src/ops/operator.ts";
import { assemble } from "../../shaders/assemble.ts";
import { loadStrategies, operatorsWithKernels } from "../../shaders/index.ts";
import { failuresOf, sampledChecks, type Check, type CheckedProblem } from "../harness/kernelChecks.ts";
import { acquireCompilingGpu, acquireKernelGpu, releaseKernelGpus } from "../harness/kernelGpu.ts";
import { compileKernels, taskLabel, type KernelTask } from "../harness/kernelRunner.ts";
import { evaluateProgram, exactly, prepareProblem, randomTensor } from "../harness/operatorCases.ts";
import { ProgramBuilder, programProblem } from "../harness/programs.ts";

const { add, matMul, mul, relu } = operatorModule;

const gpu = await acquireKernelGpu();
const runsHalves = gpu.features.has("shader-f16");
const compiler = await acquireCompilingGpu();
afterAll(() => {
  compiler.dispose();
  gpu.dispose();
  releaseKernelGpus();
});

const TIMEOUT_MS = 600_000;
/** Cases each strategy is given in each storage. */
const CASES = 2;

const namesWithKernel = await operatorsWithKernels();
const withKernel = Object.values(operatorModule as Record<string, unknown>)
  .filter((value): value is Operator => typeof value === "object" && value !== null && "infer" in value)
  .filter(({ name }) => name !== "Pointwise" && namesWithKernel.includes(name));

/** How the tensors of a case are stored. */
const storages = new WeakMap<TensorData, Storage>();
const storageOf = (tensor: TensorData): Storage | undefined => storages.get(tensor);

/** A tensor and its storage, with values that fit: halves, or whole numbers. Those that are whole anyway stay as they are. */
function fitted(input: CaseInput, seed: number, wanted: "float16" | "int8" | "uint8", scale: number): TensorData {
  const { data, dtype, shape } = randomTensor(input, seed);
  const { low, high } = dtypes[wanted];
  const fit = (value: number): number =>
    wanted === "float16" ? roundToHalf(value) : Math.min(high, Math.max(low, Math.round(value * scale))) + 0;
  const isFloat = dtypes[dtype].kind === "float";
  const tensor: TensorData = { dtype, shape, data: isFloat ? Float32Array.from(data, fit) : data };
  const narrowest = new NarrowestStorage(dtype);
  const storage = isFloat ? wanted : narrowest.add(data) ? narrowest.storage : undefined;
  if (storage) storages.set(tensor, storage);
  return tensor;
}

/** Whether the kernel's text has an output anywhere but before an assignment. */
function readsOutputs({ operator, strategy, problem, params }: KernelTask): boolean {
  const { wgsl } = assemble(operator, strategy, problem, params);
  const text = wgsl.replaceAll(/\/\/.*/g, "");
  return [...text.matchAll(/var<storage, read_write> (\w+)/g)].some(([, name]) => {
    const accesses = [...text.matchAll(new RegExp(String.raw`(?<![\w.])${name}\[.*`, "g"))];
    return accesses.some(([line]) => !/^\w+\[[^=]*\] = [^=]/.test(line) || line.indexOf(`${name}[`, 1) > 0);
  });
}

describe.each([
  ["halves", ["float16"]],
  ["bytes", ["int8", "uint8"]],
] as const)("operands in %s", { timeout: TIMEOUT_MS }, (_, kinds) => {
  test.each(withKernel)("$name", async (operator) => {
    const problems = operator.cases.flatMap(({ inputs, attributes, why }, number): CheckedProblem[] => {
      const values = inputs.map(
        (input, i) => input && fitted(input, 1000 * (number + 1) + i, kinds[(i + number) % kinds.length]!, 8),
      );
      const { label, problem, expected } = prepareProblem(operator, values, attributes, why);
      return [{ what: label, operator, problem, inputs: values, expected, storageOf }];
    });
    const checks = sampledChecks(await loadStrategies(operator.name), problems, gpu.kernelLimits, CASES);
    expect(checks.length).toBeGreaterThan(0);
    expect(await failuresOf(gpu, checks)).toEqual([]);
  });
});

describe.each(["float16", "int8", "uint8"] as const)("programs over operands in %s", (wanted) => {
  test.each([[[3, 5, 8]], [[7, 13]], [[4, 1, 64]], [[1]]])("on %j", async (shape) => {
    const builder = new ProgramBuilder();
    const types = [shape, shape.slice(-1), shape.map((extent, axis) => (axis === 0 ? extent : 1)), [1]];
    const [x, row, column, one] = types.map((type) => builder.input(type));
    const affine = builder.apply(add, [builder.apply(mul, [x!, column!]), row!]);
    const program = builder.build(builder.apply(relu, [builder.apply(mul, [affine, one!])]), affine);
    const inputs = types.map((type, i) => fitted(type, 40 + i, wanted, 200));
    const expected = evaluateProgram(program, inputs.map(exactly));
    const problem = programProblem(program);
    const checked = { what: "affine", operator: pointwise, problem, inputs, expected, storageOf };
    const checks = sampledChecks(await loadStrategies("Pointwise"), [checked], gpu.kernelLimits, 2);
    expect(checks.length).toBeGreaterThan(0);
    expect(await failuresOf(gpu, checks)).toEqual([]);
  });

  test("behind a product", async () => {
    const shapes = [
      [6, 20],
      [20, 12],
    ] as const;
    const inputs = shapes.map((shape, i) => fitted(shape, 50 + i, wanted, 200));
    const { problem, expected: products } = prepareProblem(matMul, inputs);
    const builder = new ProgramBuilder();
    const [product, residual, row] = [builder.input([6, 12]), builder.input([6, 12]), builder.input([12])];
    const sum = builder.apply(add, [builder.apply(add, [product, residual]), row]);
    const program = builder.build(builder.apply(relu, [sum]));
    const extras = [[6, 12], [12]].map((shape, i) => fitted(shape, 60 + i, wanted, 200));
    const expected = evaluateProgram(program, [products[0]!, ...extras.map(exactly)]);
    const operator = matMul as unknown as Operator;
    const fused = { ...problem, program };
    const checked = { what: "residual", operator, problem: fused, inputs, extras, expected, storageOf };
    const checks = sampledChecks(await loadStrategies("MatMul"), [checked], gpu.kernelLimits, 2);
    expect(checks.length).toBeGreaterThan(0);
    expect(await failuresOf(gpu, checks)).toEqual([]);
  });
});

describe("arrays of halves", { timeout: TIMEOUT_MS }, () => {
  test("the compiler of these tests has shader-f16", () => {
    expect(compiler.features).toContain("shader-f16");
  });

  test.each(withKernel)("$name", async (operator) => {
    const problems = operator.cases.flatMap(({ inputs, attributes, why }, number): CheckedProblem[] => {
      const values = inputs.map((input, i) => {
        const tensor = input && randomTensor(input, 1000 * (number + 1) + i);
        if (tensor?.dtype !== "float32") return tensor;
        const halves = tensorData(Array.from(tensor.data), tensor.shape, "float16");
        storages.set(halves, "half");
        return halves;
      });
      try {
        const { label, problem, expected } = prepareProblem(operator, values, attributes, why);
        return [{ what: label, operator, problem, inputs: values, expected, storageOf, halfOutputs: true }];
      } catch (error) {
        if (error instanceof DTypeError) return []; // the operator takes no halves
        throw error;
      }
    });
    const checks = sampledChecks(await loadStrategies(operator.name), problems, compiler.kernelLimits, CASES).map(
      (check): Check => ({ ...check, task: { ...check.task, halfOutputs: !check.task.strategy.readsOutputs } }),
    );
    const undeclared = checks.filter(({ task }) => !task.strategy.readsOutputs && readsOutputs(task));
    expect(undeclared.map(({ task }) => taskLabel(task))).toEqual([]);
    expect(
      await compileKernels(
        compiler,
        checks.map(({ task }) => task),
      ),
    ).toEqual([]);
    if (runsHalves) expect(await failuresOf(gpu, checks)).toEqual([]);
  });
});
