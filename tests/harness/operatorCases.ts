// From an operator's declared case to something that runs: the problem, seeded values for its inputs, and what every
// element of the result may be. Pointwise programs are judged by propagating errors through their instructions.

import { dtypes, isFloat, storeValue, type DType } from "../../src/core/dtype.ts";
import { Random } from "../../src/core/random.ts";
import { formatShape, sizeOf, type Shape } from "../../src/core/shape.ts";
import type { TensorData } from "../../src/core/tensorData.ts";
import { boundOf, evaluateReference, propagatePointwise, type PropagatedValues } from "../../src/ops/evaluate.ts";
import type { Attributes, CaseInput, Operator, OperatorCase, Problem } from "../../src/ops/operator.ts";
import type { PointwiseProgram, Register } from "../../shaders/strategy.ts";

/** A case with values. */
export interface PreparedCase {
  readonly label: string;
  readonly problem: Problem;
  readonly inputs: readonly (TensorData | undefined)[];
  /** Values and absolute error bounds of each output. */
  readonly expected: readonly PropagatedValues[];
}

/** Values where a case does not say: floats in [-1, 1), small integers, both truth values. */
const ranges: Readonly<Record<DType, readonly [low: number, high: number]>> = {
  float32: [-1, 1],
  float16: [-1, 1],
  float64: [-1, 1],
  int8: [-100, 100],
  uint8: [0, 200],
  int16: [-100, 100],
  uint16: [0, 200],
  int32: [-100, 100],
  uint32: [0, 200],
  int64: [-100, 100],
  uint64: [0, 200],
  bool: [0, 2],
};

/** A tensor of uniform values; integers for integer types. The same seed gives the same values. */
export function randomTensor(input: CaseInput, seed: number): TensorData {
  const { shape, dtype = "float32", low, high } = isShape(input) ? { shape: input } : input;
  const [first, end] = [low ?? ranges[dtype][0], high ?? ranges[dtype][1]];
  const random = new Random(seed);
  const data = dtypes[dtype].create(sizeOf(shape));
  for (let i = 0; i < data.length; i++) {
    const value = first + random.uniform() * (end - first);
    data[i] = storeValue(isFloat(dtype) ? value : Math.floor(value), dtype, "randomTensor");
  }
  return { dtype, shape: [...shape], data };
}

function isShape(input: CaseInput): input is Shape {
  return Array.isArray(input);
}

/** All cases of an operator, with references. */
export function prepareCases(operator: Operator): PreparedCase[] {
  return operator.cases.map((operatorCase, number) => prepareCase(operator, operatorCase, number));
}

function prepareCase(operator: Operator, declared: OperatorCase, number: number): PreparedCase {
  const { attributes = {}, why } = declared;
  const inputs = declared.inputs.map((input, i) => input && randomTensor(input, 1000 * (number + 1) + i));
  return prepareProblem(operator, inputs, attributes, why);
}

/** An operator applied to given values; attributes left out take their defaults. */
export function prepareProblem(
  operator: Operator,
  inputs: readonly (TensorData | undefined)[],
  given: Attributes = {},
  why?: string,
): PreparedCase {
  const attributes: Attributes = { ...operator.attributes, ...definedOf(given) };
  const types = inputs.map((input) => input && { dtype: input.dtype, shape: input.shape });
  const problem: Problem = { inputs: types, outputs: operator.infer(types, attributes), attributes };
  const results = evaluateReference(operator, inputs, problem);
  const shapes = types.map((type) => (type ? formatShape(type.shape) : "-")).join(" ");
  const settings = Object.keys(given).length === 0 ? "" : ` ${JSON.stringify(given)}`;
  return {
    label: `${shapes}${settings}${why ? ` (${why})` : ""}`,
    problem,
    inputs,
    expected: results.map((result, i) => ({ values: result.values, errors: boundOf(operator, problem, i, result) })),
  };
}

function definedOf(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}

/** Exact values as operands of {@link evaluateProgram}. */
export function exactly(tensor: TensorData): PropagatedValues {
  return { values: Float64Array.from(tensor.data), errors: new Float64Array(tensor.data.length) };
}

/** What every output of a program may be, given what its inputs may be. */
export function evaluateProgram(program: PointwiseProgram, inputs: readonly PropagatedValues[]): PropagatedValues[] {
  const results: PropagatedValues[] = [];
  const read = (register: Register): PropagatedValues & { shape: Shape } => {
    switch (register.kind) {
      case "input":
        return { ...inputs[register.index]!, shape: program.inputs[register.index]!.shape };
      case "result":
        return { ...results[register.index]!, shape: program.instructions[register.index]!.type.shape };
      case "literal":
        return {
          values: Float64Array.of(storeValue(register.value, register.dtype, "literal")),
          errors: new Float64Array(1),
          shape: [],
        };
    }
  };
  for (const { operator, attributes, args, type } of program.instructions) {
    const operands = args.map(read);
    results.push(
      propagatePointwise(
        operator,
        attributes,
        operands.map(({ values }) => values),
        operands.map(({ errors }) => errors),
        operands.map(({ shape }) => shape),
        type.shape,
        type.dtype,
      ),
    );
  }
  return program.outputs.map((index) => results[index]!);
}
