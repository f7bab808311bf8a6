// Every operator against outputs that others computed: ONNX's own operator tests and generated variants of them, those of
// one node. The references are judged first, then compositions through their parts, then the kernels on a GPU.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEngine, type Engine } from "../../src/engine.ts";
import * as ops from "../../src/ops/index.ts";
import type { Operator } from "../../src/ops/operator.ts";
import {
  decompositionExecutor,
  engineExecutor,
  loadCase,
  readIndex,
  referenceExecutor,
  runCase,
  type CaseExecutor,
  type OnnxCase,
} from "../harness/onnxCase.ts";

const operators = new Map(
  Object.values(ops).map((operator) => [operator.name, operator as unknown as Operator] as const),
);

/** Sizes of the sets that COUNTS was taken from. A set of another size is run, but not counted. */
const FOLDERS: Readonly<Record<string, number>> = { onnx: 717, variants: 409 };

/**
 * What comes of those folders: cases run (one a data set), and reasons not to, with how many folders each keeps out. A new
 * operator moves folders from one to the other; nothing may drop out unseen.
 */
const COUNTS: Readonly<Record<string, { readonly cases: number; readonly leftOut: Readonly<Record<string, number>> }>> =
  {
    onnx: {
      cases: 164,
      leftOut: {
        "Add of int8": 1,
        "Add of uint8": 1,
        "AveragePool, unsupported with rank 5": 5,
        "Cast of float16": 2,
        "ConvTranspose, unsupported with rank 5": 1,
        "Div of uint8": 1,
        "Dropout with 2 outputs": 1,
        "Equal of int8": 1,
        "Greater of int8": 1,
        "Greater of uint8": 1,
        "Less of uint8": 1,
        "Max of float16": 1,
        "Max of int8": 1,
        "Max of uint8": 1,
        "Max with 1 inputs": 1,
        "Max with 3 inputs": 1,
        "MaxPool of uint8": 1,
        "MaxPool with 2 outputs": 2,
        "MaxPool, unsupported with rank 5": 3,
        "Min of float16": 1,
        "Min of int8": 1,
        "Min of uint8": 1,
        "Min with 1 inputs": 1,
        "Min with 3 inputs": 1,
        "Pow of float32,int32": 1,
        "Pow of int32,float32": 2,
        "Pow of int32,int32": 1,
        "ReduceMax of nothing: an error here, -∞ in ONNX": 1,
        "Sub of int8": 1,
        "Sub of uint8": 1,
        "expects NumPy's random numbers": 4,
        "more than one node": 9,
        "operator not in src/ops": 501,
      },
    },
    variants: {
      cases: 133,
      leftOut: {
        "Abs of int64 beyond 32 bits": 1,
        "Add of int64 beyond 32 bits": 1,
        "AveragePool, unsupported with rank 3": 1,
        "AveragePool, unsupported with rank 5": 1,
        "Cast of int64 beyond 32 bits": 2,
        "Cast of uint8": 8,
        "Conv, unsupported with rank 3": 5,
        "Conv, unsupported with rank 5": 3,
        "ConvTranspose, unsupported with rank 3": 2,
        "ConvTranspose, unsupported with rank 5": 1,
        "Equal of bool,bool": 1,
        "Equal of int64 beyond 32 bits": 1,
        "LogSoftmax of an older opset": 1,
        "MatMul of int32,int32": 1,
        "Max with 3 inputs": 1,
        "Min with 1 inputs": 1,
        "ReduceMax of int32": 1,
        "ReduceMean of int32": 1,
        "ReduceSum of int32": 2,
        "Softmax of an older opset": 1,
        "Sub of uint8": 1,
        "Transpose of uint8": 1,
        "more than one node": 30,
        "operator not in src/ops": 208,
      },
    },
  };

interface Loaded {
  readonly cases: readonly OnnxCase[];
  /** Reason → folders it keeps out. */
  readonly leftOut: Readonly<Record<string, number>>;
}

function load(set: string, index: NonNullable<ReturnType<typeof readIndex>>): Loaded {
  const cases: OnnxCase[] = [];
  const leftOut: Record<string, number> = {};
  for (const entry of index) {
    const loaded = loadCase(set, entry, operators);
    if ("cases" in loaded) cases.push(...loaded.cases);
    else leftOut[loaded.leftOut] = (leftOut[loaded.leftOut] ?? 0) + 1;
  }
  return { cases, leftOut };
}

for (const set of ["onnx", "variants"]) {
  const index = readIndex(set);
  const why = index ? "" : " (skipped: no test folders; set NEURITE_CONFORMANCE to where they are)";
  const { cases, leftOut } = load(set, index ?? []);
  const byName = cases.map((entry) => [entry.name, entry] as const);
  const check = async (entry: OnnxCase, execute: CaseExecutor): Promise<void> => {
    expect(await runCase(entry, execute)).toBeUndefined();
  };

  describe.skipIf(!index)(`${set}${why}`, () => {
    it.skipIf(index?.length !== FOLDERS[set])("runs as many cases as expected, and says why not the others", () => {
      expect({ cases: cases.length, leftOut }).toEqual(COUNTS[set]);
    });

    describe("references", () => {
      it.each(byName)("%s", (_, entry) => check(entry, referenceExecutor));
    });

    describe("compositions", () => {
      const composed = byName.filter(([, { operator }]) => operator.decompose !== undefined);
      it.each(composed)("%s", (_, entry) => check(entry, decompositionExecutor));
    });

    describe("kernels", () => {
      let engine: Engine;
      beforeAll(async () => {
        engine = await createEngine();
      });
      afterAll(() => engine.dispose());
      it.concurrent.each(byName)("%s", (_, entry) => check(entry, engineExecutor(engine)));
    });
  });
}
