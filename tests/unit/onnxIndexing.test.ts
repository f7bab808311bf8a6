// Imported operators whose results are as long as the data says, and older meanings of operators that have changed: against
// the examples of ONNX's documentation, and at the edges that ONNX's own test data do not reach.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngine, type Engine } from "../../src/engine.ts";
import type { AttributeProto, OnnxDType, TensorProto } from "../../src/formats/onnx/model.ts";
import { floats, int, integers, ints, modelBytes, node } from "../harness/onnxModels.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ backend: "cpu" });
});
afterAll(() => {
  engine.dispose();
});

interface Result {
  readonly shape: readonly number[];
  readonly data: number[];
}

/** Outputs of one node; inputs are initializers called a, b, c …, `-` in `inputs` an absent one. */
async function run(
  operator: string,
  inputs: string,
  initializers: readonly TensorProto[],
  {
    attributes = {},
    outputs = ["float32"],
    opset = 21,
  }: {
    attributes?: Readonly<Record<string, AttributeProto>>;
    outputs?: readonly OnnxDType[];
    opset?: number;
  } = {},
): Promise<Result[]> {
  const names = outputs.map((_, i) => `y${i}`);
  const bytes = modelBytes(
    {
      nodes: [node(operator, inputs, names.join(" "), attributes)],
      outputs: Object.fromEntries(outputs.map((dtype, i) => [names[i]!, [dtype]])),
      initializers,
    },
    { opsets: { "": opset } },
  );
  using model = await engine.load(bytes);
  const results = await model.run({});
  return names.map((name) => ({ shape: results[name]!.shape, data: Array.from(results[name]!.data, Number) }));
}

const bools = (name: string, values: readonly number[]): TensorProto => ({
  name,
  dtype: "bool",
  shape: [values.length],
  bytes: Uint8Array.from(values),
});

describe("Unique", () => {
  const outputs: OnnxDType[] = ["float32", "int64", "int64", "int64"];
  const data = (results: readonly Result[]): number[][] => results.map((result) => result.data);

  test("of a flattened tensor, in either order", async () => {
    const x = floats("a", [2, 3], [2, 1, 1, 3, 4, 3]);
    expect(data(await run("Unique", "a", [x], { outputs }))).toEqual([
      [1, 2, 3, 4],
      [1, 0, 3, 4],
      [1, 0, 0, 2, 3, 2],
      [2, 1, 2, 1],
    ]);
    expect(data(await run("Unique", "a", [x], { outputs, attributes: { sorted: int(0) } }))).toEqual([
      [2, 1, 3, 4],
      [0, 1, 3, 4],
      [0, 1, 1, 2, 3, 2],
      [1, 2, 2, 1],
    ]);
  });

  test("of slices", async () => {
    const rows = floats("a", [3, 3], [1, 0, 0, 1, 0, 0, 2, 3, 4]);
    const [y, first, inverse, counts] = await run("Unique", "a", [rows], { outputs, attributes: { axis: int(0) } });
    expect(y).toEqual({ shape: [2, 3], data: [1, 0, 0, 2, 3, 4] });
    expect(data([first!, inverse!, counts!])).toEqual([
      [0, 2],
      [0, 0, 1],
      [2, 1],
    ]);
    const cube = floats("a", [2, 4, 2], [1, 1, 0, 1, 2, 1, 0, 1, 1, 1, 0, 1, 2, 1, 0, 1]);
    const [z, ...places] = await run("Unique", "a", [cube], { outputs, attributes: { axis: int(-2) } });
    expect(z).toEqual({ shape: [2, 3, 2], data: [0, 1, 1, 1, 2, 1, 0, 1, 1, 1, 2, 1] });
    expect(data(places)).toEqual([
      [1, 0, 2],
      [1, 0, 2, 0],
      [2, 1, 1],
    ]);
  });

  test("of NaNs, of nothing", async () => {
    const odd = floats("a", [4], [NaN, 1, NaN, -Infinity]);
    expect((await run("Unique", "a", [odd], { outputs }))[0]!.data).toEqual([-Infinity, 1, NaN]);
    expect(data(await run("Unique", "a", [floats("a", [0], [])], { outputs }))).toEqual([[], [], [], []]);
  });
});

test("NonZero lists coordinates axis by axis; a scalar is one element of an axis", async () => {
  const outputs: OnnxDType[] = ["int64"];
  expect(await run("NonZero", "a", [floats("a", [2, 2], [1, 0, 1, -1])], { outputs })).toEqual([
    { shape: [2, 3], data: [0, 1, 1, 0, 0, 1] },
  ]);
  expect(await run("NonZero", "a", [floats("a", [], [3])], { outputs })).toEqual([{ shape: [1, 1], data: [0] }]);
  expect(await run("NonZero", "a", [floats("a", [2, 0], [])], { outputs })).toEqual([{ shape: [2, 0], data: [] }]);
});

test("Compress drops what a short condition does not mention", async () => {
  const x = floats("a", [3, 2], [1, 2, 3, 4, 5, 6]);
  const condition = bools("b", [0, 1]);
  expect(await run("Compress", "a b", [x, condition])).toEqual([{ shape: [1], data: [2] }]);
  const attributes = { axis: int(-2) };
  expect(await run("Compress", "a b", [x, condition], { attributes })).toEqual([{ shape: [1, 2], data: [3, 4] }]);
});

test("MaxUnpool counts indices through the pooling's input, and a larger output has zeros behind it", async () => {
  const x = floats("a", [1, 1, 2, 2], [5, 6, 7, 8]);
  const places = integers("b", [1, 1, 2, 2], [5, 7, 13, 15]);
  const attributes = { kernel_shape: ints(2, 2), strides: ints(2, 2) };
  const [small] = await run("MaxUnpool", "a b", [x, places], { attributes });
  expect(small).toEqual({ shape: [1, 1, 4, 4], data: [0, 0, 0, 0, 0, 5, 0, 6, 0, 0, 0, 0, 0, 7, 0, 8] });
  const shape = integers("c", [4], [1, 1, 5, 5]);
  const [large] = await run("MaxUnpool", "a b c", [x, places, shape], { attributes });
  expect(large!.data.flatMap((value, i) => (value === 0 ? [] : [[i, value]]))).toEqual([
    [6, 5],
    [8, 6],
    [16, 7],
    [18, 8],
  ]);
});

describe("NonMaxSuppression", () => {
  const outputs: OnnxDType[] = ["int64"];
  const boxes = floats("a", [1, 4, 4], [0, 0, 1, 1, 0, 0.1, 1, 1.1, 1, 11, 0, 10, 0, 10, 1, 11]);
  const scores = floats("b", [1, 1, 4], [0.9, 0.75, 0.6, 0.6]);
  const threshold = (name: string, value: number): TensorProto => floats(name, [1], [value]);

  test("keeps the best of those that overlap, the first of equal ones", async () => {
    const most = integers("c", [1], [3]);
    const results = await run("NonMaxSuppression", "a b c d", [boxes, scores, most, threshold("d", 0.5)], { outputs });
    expect(results).toEqual([{ shape: [2, 3], data: [0, 0, 0, 0, 0, 2] }]);
  });

  test("takes as many as there are for the largest number, and none by default", async () => {
    const most = integers("c", [1], [2n ** 63n - 1n]);
    const all = [boxes, scores, most, threshold("d", 1), threshold("e", 0.6)];
    expect((await run("NonMaxSuppression", "a b c d e", all, { outputs }))[0]!.data).toEqual([0, 0, 0, 0, 0, 1]);
    expect(await run("NonMaxSuppression", "a b", [boxes, scores], { outputs })).toEqual([{ shape: [0, 3], data: [] }]);
  });
});

test("older meanings: Hardmax of a matrix, TopK by an attribute, RoiAlign at pixel centres", async () => {
  const x = floats("a", [1, 2, 2], [1, 2, 4, 3]);
  const old = await run("Hardmax", "a", [x], { opset: 11 });
  expect(old[0]!.data).toEqual([0, 0, 1, 0]);
  const recent = await run("Hardmax", "a", [x], { opset: 13 });
  expect(recent[0]!.data).toEqual([0, 1, 1, 0]);

  const outputs: OnnxDType[] = ["float32", "int64"];
  const top = await run("TopK", "a", [x], { opset: 9, outputs, attributes: { k: int(1), axis: int(1) } });
  expect(top).toEqual([
    { shape: [1, 1, 2], data: [4, 3] },
    { shape: [1, 1, 2], data: [1, 1] },
  ]);

  const image = floats("a", [1, 1, 2, 2], [0, 1, 2, 3]);
  const region = [floats("b", [1, 4], [0, 0, 1, 1]), integers("c", [1], [0])];
  const centres = await run("RoiAlign", "a b c", [image, ...region], { opset: 10 });
  expect(centres[0]!.data).toEqual([1.5]);
  const corners = await run("RoiAlign", "a b c", [image, ...region], { opset: 16 });
  expect(corners[0]!.data).toEqual([0]);
});

test("an index out of range is named", async () => {
  const x = floats("a", [3], [1, 2, 3]);
  await expect(run("Gather", "a b", [x, integers("b", [1], [3])])).rejects.toThrow(
    /Gather: index 3 is outside \[-3, 3\)/,
  );
  const update = floats("c", [1], [9]);
  await expect(run("ScatterElements", "a b c", [x, integers("b", [1], [-4]), update])).rejects.toThrow(
    /ScatterElements: index -4 is outside/,
  );
});
