// Element types: what each stores of a number, and that the CPU backend keeps values within their types between the
// operators of one step, as kernels do.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DTypeError } from "../../src/core/errors.ts";
import { roundToHalf, storeValue, storeValues } from "../../src/core/dtype.ts";
import { createEngine, type Engine } from "../../src/engine.ts";
import { Graph } from "../../src/graph/graph.ts";
import { fold } from "../../src/graph/passes/fold.ts";
import { boundOf } from "../../src/ops/evaluate.ts";
import { add, cast, mul, sqrt } from "../../src/ops/index.ts";
import { encodeElements, naturalElements } from "../../src/formats/elements.ts";
import { tensorData } from "../../src/core/tensorData.ts";
import { int, modelBytes, node } from "../harness/onnxModels.ts";

const halfToNumber = (bits: number): number =>
  naturalElements(new Uint8Array(Uint16Array.of(bits).buffer), "float16")[0] as number;
const numberToHalf = (value: number): number => new Uint16Array(encodeElements([value], "float16").buffer)[0]!;

describe("float16", () => {
  test("every half is its own nearest half", () => {
    for (let bits = 0; bits < 2 ** 16; bits++) {
      const value = halfToNumber(bits);
      if (Number.isNaN(value)) continue;
      if (!Object.is(roundToHalf(value), value)) expect.fail(`${bits}: ${value} becomes ${roundToHalf(value)}`);
    }
  });

  test("between two halves the nearer one is taken, in the middle the even one", () => {
    for (let bits = 0; bits < 0x7bff; bits++) {
      const [low, high] = [halfToNumber(bits), halfToNumber(bits + 1)];
      const [middle, step] = [(low + high) / 2, high - low];
      const even = bits % 2 === 0 ? low : high;
      if (roundToHalf(middle) !== even || roundToHalf(-middle) !== -even) expect.fail(`${middle}`);
      if (roundToHalf(middle + step / 1024) !== high || roundToHalf(middle - step / 1024) !== low)
        expect.fail(`beside ${middle}`);
      if (numberToHalf(middle + step / 1024) !== bits + 1) expect.fail(`bits beside ${middle}`);
    }
    expect([65519, 65520, -65520, 1e30].map(roundToHalf)).toEqual([65504, Infinity, -Infinity, Infinity]);
    expect(roundToHalf(NaN)).toBeNaN();
  });

  test("bounds take in the rounding, and say when a result may be infinite", () => {
    const bound = (value: number): number => {
      const types = [{ dtype: "float16", shape: [1] }] as const;
      const problem = { inputs: types, outputs: types, attributes: {} };
      return boundOf(sqrt, problem, 0, { values: Float64Array.of(value) })[0]!;
    };
    expect(bound(1 + 2 ** -11)).toBeCloseTo(2 ** -11, 6);
    expect(bound(1)).toBeLessThan(2 ** -10);
    expect(bound(65519.999)).toBe(Infinity);
    expect(bound(60000)).toBeLessThan(32);
  });
});

describe("integers", () => {
  test("of up to 32 bits wrap", () => {
    expect([...storeValues([-129, 128, 255.9, 256], "int8", "")]).toEqual([127, -128, -1, 0]);
    expect([...storeValues([-1, 256, 300], "uint8", "")]).toEqual([255, 0, 44]);
    expect([...storeValues([2 ** 31, -1], "int32", "")]).toEqual([-(2 ** 31), -1]);
    expect(storeValue(-1, "uint32", "")).toBe(2 ** 32 - 1);
    expect([storeValue(0.5, "bool", ""), storeValue(0, "bool", "")]).toEqual([1, 0]);
  });

  test("of 64 bits are refused where 32 do not hold them", () => {
    expect(storeValue(2 ** 31 - 1, "int64", "sum")).toBe(2 ** 31 - 1);
    expect(() => storeValue(2 ** 31, "int64", "sum")).toThrow(/sum: 2147483648 does not fit/);
    expect(() => storeValue(-1, "uint64", "sum")).toThrow(DTypeError);
    expect(() => storeValue(1e300, "float64", "sum")).toThrow(DTypeError);
  });

  test("constants that leave 32 bits are refused when they are folded", () => {
    const graph = new Graph();
    const large = graph.constant(tensorData([2 ** 31 - 1, 1], [2], "int64"));
    graph.output("y", graph.apply(add, [large, large]));
    expect(() => fold(graph)).toThrow(/4294967294 does not fit/);
  });
});

describe("on the CPU backend", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createEngine({ backend: "cpu" });
  });
  afterAll(() => {
    engine.dispose();
  });

  test("a chain of one step rounds, wraps and overflows after every operator", async () => {
    const bytes = modelBytes({
      nodes: [
        node("Mul", "h h", "square"),
        node("Sqrt", "square", "root"),
        node("Add", "b b", "twice"),
        node("Cast", "twice", "wide", { to: int(6) }),
      ],
      inputs: { h: ["float16", 2], b: ["uint8", 2] },
      outputs: { root: ["float16", 2], wide: ["int32", 2] },
    });
    using model = await engine.load(bytes);
    const { root, wide } = await model.run({ h: [1.5, 300], b: [100, 200] });
    expect([...root!.data]).toEqual([1.5, Infinity]);
    expect([...wide!.data]).toEqual([200, 144]);
  });

  test("64-bit sums at run time are right beyond 32 bits or refused", async () => {
    const bytes = modelBytes({
      nodes: [node("Add", "x x", "y"), node("Cast", "y", "z", { to: int(1) })],
      inputs: { x: ["int64", 1] },
      outputs: { z: ["float32", 1] },
    });
    using model = await engine.load(bytes);
    expect([...(await model.run({ x: [7] }))["z"]!.data]).toEqual([14]);
    const large = await model.run({ x: [2 ** 31] }).then(({ z }) => [...z!.data], (error: unknown) => error); // prettier-ignore
    if (large instanceof Error) expect(large).toBeInstanceOf(DTypeError);
    else expect(large).toEqual([2 ** 32]);
  });
});

test("float16 and integer operands are refused where only one type is taken", () => {
  const graph = new Graph();
  const half = graph.input("h", { dtype: "float16", shape: [2] });
  const word = graph.input("w", { dtype: "float32", shape: [2] });
  expect(() => graph.apply(mul, [half, word])).toThrow(DTypeError);
  expect(graph.apply(mul, [half, graph.apply(cast, [word], { to: "float16" })]).dtype).toBe("float16");
});
