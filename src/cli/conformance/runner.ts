// Runs one test of a set on an engine and says what came of it. Used by the command's worker and by the project's own tests.

import { readFile } from "node:fs/promises";
import { DTypeError, FormatError, GpuError, UnsupportedError } from "../../core/errors.ts";
import type { Engine } from "../../engine.ts";
import { computedDType, isStoredDType, naturalElements } from "../../formats/elements.ts";
import { decodeModel, decodeTensor } from "../../formats/onnx/decode.ts";
import { unsupportedOperators, type LoadModelOptions } from "../../formats/onnx/load.ts";
import type { OnnxTensor } from "../../formats/onnx/tensor.ts";
import { dataSets, modelFile, type DataSet, type TestFolder } from "./folders.ts";
import { judge } from "./judge.ts";

export interface TestResult {
  readonly name: string;
  /** `unsupported` is a failure, too: an operator, type or form that is not there yet. */
  readonly status: "passed" | "failed" | "unsupported" | "skipped";
  /** What is wrong, in one line; for passed ones what is worth saying. */
  readonly why?: string;
  /** Operators without an importer. */
  readonly missingOperators?: readonly string[];
  /** WebGPU complained: better go on with a new engine. */
  readonly engineIsSuspect?: boolean;
  readonly timeMs: number;
}

interface Net {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  run(inputs: Readonly<Record<string, OnnxTensor>>): Promise<Readonly<Record<string, OnnxTensor>>>;
}

/** Runs every data set of a test, one after the other. Whatever is thrown becomes part of the result. */
export async function runTest(engine: Engine, test: TestFolder, options: LoadModelOptions = {}): Promise<TestResult> {
  const start = performance.now();
  const result = (outcome: Omit<TestResult, "name" | "timeMs">): TestResult => ({
    name: test.name,
    ...outcome,
    timeMs: Math.round(performance.now() - start),
  });
  if (test.nondeterministic) return result({ status: "skipped", why: "expects NumPy's random numbers" });
  let missingOperators: readonly string[] = [];
  try {
    const sets = dataSets(test);
    const file = modelFile(test);
    const proto = decodeModel(await readFile(file));
    const { graph } = proto;
    missingOperators = unsupportedOperators(graph, proto).map(({ operator }) => operator);
    using model = await engine.load(file, options);
    const net: Net = {
      inputs: graph.inputs.map(({ name }) => name).filter((name) => !graph.initializers.has(name)),
      outputs: graph.outputs.map(({ name }) => name),
      run: (inputs) => model.run(inputs),
    };
    for (const set of sets) {
      const why = await runDataSet(net, set, test);
      if (why !== undefined) return result({ status: "failed", why: sets.length > 1 ? `${set.name}: ${why}` : why });
    }
    return result({ status: "passed" });
  } catch (error) {
    const why = describe(error);
    if (test.wideIntegers && error instanceof DTypeError)
      return result({ status: "passed", why: `refused, as 64-bit integers may be: ${why}` });
    return result({
      status: error instanceof UnsupportedError || missingOperators.length > 0 ? "unsupported" : "failed",
      why,
      ...(missingOperators.length > 0 && { missingOperators }),
      ...(error instanceof GpuError && { engineIsSuspect: true }),
    });
  }
}

/** What is wrong with one data set; undefined when all outputs are right. */
async function runDataSet(net: Net, set: DataSet, test: TestFolder): Promise<string | undefined> {
  const inputs: Record<string, OnnxTensor> = {};
  for (const [i, file] of set.inputs) {
    const name = net.inputs[i];
    if (name === undefined) throw new FormatError(`input_${i}.pb: the model has ${net.inputs.length} inputs`);
    inputs[name] = await readTensor(file);
  }
  const actual = await net.run(inputs);
  if (set.outputs.size === 0) throw new FormatError("no expected outputs");
  for (const [i, file] of set.outputs) {
    const name = net.outputs[i];
    if (name === undefined) throw new FormatError(`output_${i}.pb: the model has ${net.outputs.length} outputs`);
    const came = actual[name];
    if (!came) return `output ${name} is missing`;
    const fault = judge(came, await readTensor(file), test.tolerance);
    if (fault !== undefined) return `output ${name} ${fault}`;
  }
  return undefined;
}

/** A TensorProto in a file. */
async function readTensor(file: string): Promise<OnnxTensor> {
  const { dtype, shape, bytes } = decodeTensor(await readFile(file));
  if (!isStoredDType(dtype)) throw new UnsupportedError(`${file} is ${dtype}, which cannot be computed with`);
  return { dtype: computedDType(dtype), shape, data: naturalElements(bytes, dtype) };
}

/** Kind and first line of an error. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [line = ""] = error.message.split("\n");
  return `${error.name}: ${line}`;
}
