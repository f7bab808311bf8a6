// Tests in ONNX's backend-test format (a folder with a model, its inputs and its expected outputs), as problems for one
// operator of src/ops: the node's attributes and constant inputs become ours, tensors become host tensors. What cannot
// be expressed is left out with a reason, so that a count of reasons accounts for every folder. Who carries a case out is
// up to the caller: see CaseExecutor.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { dtypes, type DType } from "../../src/core/dtype.ts";
import { DTypeError, UnsupportedError } from "../../src/core/errors.ts";
import { formatType, sameShape, sizeOf } from "../../src/core/shape.ts";
import { tensorData, type TensorData } from "../../src/core/tensorData.ts";
import type { Engine } from "../../src/engine.ts";
import { Graph } from "../../src/graph/graph.ts";
import { evaluateReference } from "../../src/ops/evaluate.ts";
import type { Attributes, Operator } from "../../src/ops/operator.ts";
import { EagerBuilder, eagerTensor } from "./eager.ts";
import {
  dataTypeName,
  readOnnxModel,
  readOnnxTensor,
  type OnnxAttribute,
  type OnnxNode,
  type OnnxTensor,
} from "./onnxReader.ts";

/** An entry of a set's index.json, as far as it is used here. */
interface IndexEntry {
  readonly name: string;
  readonly opset: number;
  readonly nondeterministic?: boolean;
  readonly rtol?: number;
  readonly atol?: number;
  /** `atol` is a share of the largest |expected| of an output. */
  readonly atolRelativeToMax?: boolean;
}

/** How far an element may be from the expected one: `absolute + relative · |expected|`. */
export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
  readonly absoluteIsShareOfLargest: boolean;
}

/** One application of an operator with its expected outputs. */
export interface OnnxCase {
  readonly name: string;
  readonly operator: Operator;
  readonly attributes: Attributes;
  readonly inputs: readonly (TensorData | undefined)[];
  /** By output; undefined where the model does not return it. */
  readonly expected: readonly (TensorData | undefined)[];
  readonly tolerance: Tolerance;
}

/** A folder as cases, one a data set, or why there are none. */
export type LoadedCase = { readonly cases: readonly OnnxCase[] } | { readonly leftOut: string };

/** Carries out one operator on host tensors. */
export type CaseExecutor = (
  operator: Operator,
  inputs: readonly (TensorData | undefined)[],
  attributes: Attributes,
) => readonly TensorData[] | Promise<readonly TensorData[]>;

/** Why a case is left out, carried up to {@link loadCase}. */
class LeftOut extends Error {}

/** The folder with the sets `onnx`, `variants` and `models`: $NEURITE_CONFORMANCE, or beside the project. */
export const conformanceFolder =
  process.env["NEURITE_CONFORMANCE"] ?? join(import.meta.dirname, "../../../shared/conformance");

/** Names, opsets and tolerances of a set's folders; undefined where the set is not there. */
export function readIndex(set: string): readonly IndexEntry[] | undefined {
  const file = join(conformanceFolder, set, "index.json");
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as IndexEntry[]) : undefined;
}

/** The defaults of ONNX's own backend-test runner. */
const DEFAULT_TOLERANCE = { rtol: 1e-3, atol: 1e-7 };

/** Operators whose meaning changed: ours is that of this opset of ONNX and later. */
const SINCE_OPSET: Readonly<Record<string, number>> = { Softmax: 13, LogSoftmax: 13 };

/** ONNX inputs that are attributes of ours, by their place: they must be known when a plan is made. */
const CONSTANT_INPUTS: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  Dropout: { 1: "ratio", 2: "training_mode" },
  Expand: { 1: "shape" },
  ReduceMax: { 1: "axes" },
  ReduceMean: { 1: "axes" },
  ReduceSum: { 1: "axes" },
  Reshape: { 1: "shape" },
};

/** Attributes that are spelled or typed otherwise in ONNX. */
const CONVERTED_ATTRIBUTES: Readonly<Record<string, (value: OnnxAttribute) => string>> = {
  "Cast.to": (value) => dtypeOf(dataTypeName(value as number), "Cast"),
};

/** Inputs ONNX does not have, by their place. */
const OWN_INPUTS: Readonly<Record<string, Readonly<Record<number, TensorData>>>> = {
  Dropout: { 1: tensorData(Uint32Array.of(0, 0), [2]) }, // the random key
};

/** Attributes that change nothing here: of opsets gone by, or of types this project does not have. */
const IGNORED_ATTRIBUTES: ReadonlySet<string> = new Set(["Cast.saturate", "Dropout.seed"]);

/** Tests whose expected outputs this project does not give, on purpose. */
const DIFFERENT_BY_DESIGN: Readonly<Record<string, string>> = {
  test_reduce_max_empty_set: "ReduceMax of nothing: an error here, -∞ in ONNX",
};

/** Loads one folder of a set. */
export function loadCase(set: string, entry: IndexEntry, operators: ReadonlyMap<string, Operator>): LoadedCase {
  try {
    return { cases: loadCases(join(conformanceFolder, set, entry.name), entry, operators) };
  } catch (error) {
    if (error instanceof LeftOut) return { leftOut: error.message };
    throw error;
  }
}

function loadCases(folder: string, entry: IndexEntry, operators: ReadonlyMap<string, Operator>): OnnxCase[] {
  const model = readOnnxModel(readFileSync(join(folder, "model.onnx")));
  const [node] = model.nodes;
  if (!node || model.nodes.length > 1) throw new LeftOut("more than one node");
  const operator = node.domain === "" || node.domain === "ai.onnx" ? operators.get(node.operator) : undefined;
  if (!operator) throw new LeftOut("operator not in src/ops");
  if (entry.name in DIFFERENT_BY_DESIGN) throw new LeftOut(DIFFERENT_BY_DESIGN[entry.name]);
  if (entry.nondeterministic) throw new LeftOut("expects NumPy's random numbers");
  if (entry.opset < (SINCE_OPSET[operator.name] ?? 0)) throw new LeftOut(`${operator.name} of an older opset`);
  if (node.outputs.filter((name) => name !== "").length > operator.outputs.length)
    throw new LeftOut(`${operator.name} with ${node.outputs.length} outputs`);

  const initializers = new Map(model.initializers.map((tensor) => [tensor.name, tensor]));
  const fed = model.inputs.filter((name) => !initializers.has(name));
  const { rtol, atol } = { ...DEFAULT_TOLERANCE, ...entry };
  const tolerance = {
    relative: rtol,
    absolute: atol,
    absoluteIsShareOfLargest: entry.atolRelativeToMax ?? false,
  };

  const sets = readdirSync(folder)
    .filter((name) => name.startsWith("test_data_set_"))
    .sort();
  return sets.map((name) => {
    const read = (kind: string, index: number): OnnxTensor =>
      readOnnxTensor(readFileSync(join(folder, name, `${kind}_${index}.pb`)));
    const values = new Map(initializers);
    fed.forEach((input, index) => values.set(input, read("input", index)));
    const given = node.inputs.map((input) => (input === "" ? undefined : values.get(input)));
    const expected = node.outputs.map((output) => {
      const index = model.outputs.indexOf(output);
      return index < 0 ? undefined : toTensorData(read("output", index), operator.name);
    });
    const { inputs, attributes } = translate(operator, node, given);
    checkAccepted(operator, inputs, attributes);
    return {
      name: sets.length > 1 ? `${entry.name} ${name}` : entry.name,
      operator,
      attributes,
      inputs,
      expected,
      tolerance,
    };
  });
}

/** A node's inputs and attributes as the operator takes them. */
function translate(
  operator: Operator,
  node: OnnxNode,
  given: readonly (OnnxTensor | undefined)[],
): Pick<OnnxCase, "inputs" | "attributes"> {
  const attributes: Record<string, Attributes[string]> = { ...operator.attributes };
  for (const [name, value] of Object.entries(node.attributes)) {
    const place = `${operator.name}.${name}`;
    if (IGNORED_ATTRIBUTES.has(place)) continue;
    if (!(name in operator.attributes)) throw new LeftOut(`${operator.name} with attribute ${name}`);
    attributes[name] = CONVERTED_ATTRIBUTES[place]?.(value) ?? (value as Attributes[string]);
  }
  const constants = CONSTANT_INPUTS[operator.name] ?? {};
  const inputs: (TensorData | undefined)[] = [];
  given.forEach((tensor, index) => {
    const name = constants[index];
    if (name === undefined) inputs.push(tensor && toTensorData(tensor, operator.name));
    else if (tensor?.values) attributes[name] = tensor.shape.length === 0 ? tensor.values[0] : tensor.values;
  });
  for (const [index, tensor] of Object.entries(OWN_INPUTS[operator.name] ?? {})) inputs[Number(index)] = tensor;
  if (inputs.length > operator.inputs.length || inputs.length < (operator.required ?? operator.inputs.length))
    throw new LeftOut(`${operator.name} with ${inputs.length} inputs`);
  return { inputs, attributes };
}

/** The element type that stores an ONNX type here; int64 is narrowed to int32 where its values fit. */
function dtypeOf(dataType: string, who: string): DType {
  if (dataType === "int64") return "int32";
  if (!Object.hasOwn(dtypes, dataType)) throw new LeftOut(`${who} of ${dataType}`);
  return dataType as DType;
}

function toTensorData({ dataType, shape, values }: OnnxTensor, who: string): TensorData {
  const dtype = dtypeOf(dataType, who);
  if (dataType === "int64" && values!.some((value) => value !== (value | 0)))
    throw new LeftOut(`${who} of int64 beyond 32 bits`);
  return tensorData(values!, shape, dtype);
}

/** Leaves a case out if the operator itself says that it is not for such types or ranks. A ShapeError is a failure. */
function checkAccepted(operator: Operator, inputs: readonly (TensorData | undefined)[], attributes: Attributes): void {
  try {
    operator.infer(inputs, attributes);
  } catch (error) {
    if (error instanceof DTypeError)
      throw new LeftOut(`${operator.name} of ${inputs.map((input) => input?.dtype).join()}`);
    if (error instanceof UnsupportedError)
      throw new LeftOut(`${operator.name}, unsupported with rank ${inputs[0]?.shape.length}`);
    // Everything else shows when the case is run.
  }
}

/** The operator's own reference. */
export const referenceExecutor: CaseExecutor = (operator, inputs, attributes) => {
  const outputs = operator.infer(inputs, attributes);
  const results = evaluateReference(operator, inputs, { inputs, outputs, attributes });
  return outputs.map((type, i) => tensorData([...results[i]!.values], type.shape, type.dtype));
};

/** The references of the parts a composition is made of. */
export const decompositionExecutor: CaseExecutor = (operator, inputs, attributes) => {
  const operands = inputs.map((input) => input && eagerTensor(input));
  const outputs = new EagerBuilder().applyAll(operator, operands, attributes);
  return outputs.map((output) => tensorData([...output.data], output.shape, output.dtype));
};

/** A graph of the one operator, compiled and run by an engine. */
export function engineExecutor(engine: Engine): CaseExecutor {
  return async (operator, inputs, attributes) => {
    const graph = new Graph();
    const feeds: Record<string, TensorData> = {};
    const operands = inputs.map((input, i) => {
      if (!input) return undefined;
      feeds[`input${i}`] = input;
      return graph.input(`input${i}`, input);
    });
    const outputs = graph.applyAll(operator, operands, attributes);
    outputs.forEach((output, i) => graph.output(`output${i}`, output));
    using model = await engine.compileGraph(graph);
    const results = await model.run(feeds);
    return outputs.map((_, i) => results[`output${i}`]!);
  };
}

/** Runs a case and compares. Returns what is wrong with it, undefined when nothing is. */
export async function runCase(
  { operator, inputs, attributes, expected, tolerance }: OnnxCase,
  execute: CaseExecutor,
): Promise<string | undefined> {
  const actual = await execute(operator, inputs, attributes);
  for (const [index, wanted] of expected.entries()) {
    const difference = wanted && compare(actual[index]!, wanted, tolerance);
    if (difference !== undefined) return `output ${operator.outputs[index]}: ${difference}`;
  }
  return undefined;
}

function compare(actual: TensorData, expected: TensorData, tolerance: Tolerance): string | undefined {
  if (actual.dtype !== expected.dtype || !sameShape(actual.shape, expected.shape))
    return `is ${formatType(actual)}, expected ${formatType(expected)}`;
  let largest = 0;
  for (const value of expected.data) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  const absolute = tolerance.absolute * (tolerance.absoluteIsShareOfLargest ? largest : 1);
  for (let i = 0; i < sizeOf(expected.shape); i++) {
    const [a, e] = [actual.data[i]!, expected.data[i]!];
    if (a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    const close =
      expected.dtype === "float32" &&
      Number.isFinite(a) &&
      Number.isFinite(e) &&
      Math.abs(a - e) <= absolute + tolerance.relative * Math.abs(e);
    if (!close) return `element ${i} of ${formatType(expected)} is ${a}, expected ${e}`;
  }
  return undefined;
}
