// The ONNX importer: what becomes one plan, what is cut into segments, and what is refused. The models are written by
// hand; operators themselves are held against ONNX's own outputs in tests/conformance.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngine, type Engine } from "../../src/engine.ts";
import { DTypeError, FormatError, ShapeError, UnsupportedError, UsageError } from "../../src/core/errors.ts";
import { decodeTensor } from "../../src/formats/onnx/decode.ts";
import type { AttributeProto } from "../../src/formats/onnx/model.ts";
import { floats, int, integers, ints, modelBytes, node, subgraph } from "../harness/onnxModels.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ backend: "cpu" });
});
afterAll(() => {
  engine.dispose();
});

const addOne = modelBytes({
  nodes: [node("Add", "x one", "y")],
  inputs: { x: ["float32", "n", 2] },
  outputs: { y: ["float32", "n", 2] },
  initializers: [floats("one", [], [1])],
});

describe("shapes", () => {
  test("each new shape compiles once", async () => {
    using model = await engine.load(addOne);
    expect(model.plans).toHaveLength(0);
    for (const rows of [1, 3, 1, 3]) {
      const { y } = await model.run({ x: { shape: [rows, 2], data: new Float32Array(rows * 2) } });
      expect([...y!.data]).toEqual(new Array(rows * 2).fill(1));
    }
    expect(model.plans).toHaveLength(2);
  });

  test("dims settle symbolic extents, and the model is compiled when it is loaded", async () => {
    using model = await engine.load(addOne, { dims: { n: 2 } });
    expect(model.plans).toHaveLength(1);
    const { y } = await model.run({ x: [1, 2, 3, 4] });
    expect(y).toEqual({ dtype: "float32", shape: [2, 2], data: Float32Array.of(2, 3, 4, 5) });
    expect(model.plans).toHaveLength(1);
    await expect(engine.load(addOne, { dims: { rows: 2 } })).rejects.toThrow(/no dimension "rows".*n/s);
  });

  test("inputs that do not fit are refused by name", async () => {
    using model = await engine.load(addOne);
    await expect(model.run({})).rejects.toThrow(/input "x" \(float32 \[n, 2\]\) is missing/);
    await expect(model.run({ z: [1] })).rejects.toThrow(UsageError);
    await expect(model.run({ x: { shape: [2, 3], data: new Float32Array(6) } })).rejects.toThrow(ShapeError);
    await expect(model.run({ x: { shape: [1, 2], data: new Float32Array(3) } })).rejects.toThrow(ShapeError);
    await expect(model.run({ x: { shape: [1, 2], dtype: "int32", data: Int32Array.of(1, 2) } })).rejects.toThrow(
      /is int32, the model takes float32/,
    );
  });

  test("an initializer that is an input too is a default", async () => {
    const bytes = modelBytes({
      nodes: [node("Add", "x w", "y")],
      inputs: { x: ["float32", 2], w: ["float32", 2] },
      outputs: { y: ["float32", 2] },
      initializers: [floats("w", [2], [10, 20])],
    });
    using model = await engine.load(bytes);
    expect((await model.run({ x: [1, 2] }))["y"]!.data).toEqual(Float32Array.of(11, 22));
    expect((await model.run({ x: [1, 2], w: [0, 0] }))["y"]!.data).toEqual(Float32Array.of(1, 2));
    expect((await model.run({ x: [1, 2] }))["y"]!.data).toEqual(Float32Array.of(11, 22));
  });
});

describe("values that decide", () => {
  test("a plan that depends on an input's value is used again for that value only", async () => {
    const bytes = modelBytes({
      nodes: [node("Reshape", "x shape", "y")],
      inputs: { x: ["float32", 6], shape: ["int64", "rank"] },
      outputs: { y: ["float32"] },
    });
    using model = await engine.load(bytes);
    const x = Float32Array.of(1, 2, 3, 4, 5, 6);
    for (const shape of [[2, 3], [3, 2], [-1], [2, 3]]) {
      const { y } = await model.run({ x, shape });
      expect(y!.data).toEqual(x);
      expect(y!.shape).toEqual(shape[0] === -1 ? [6] : shape);
    }
    expect(model.plans).toHaveLength(3);
  });

  test("shape arithmetic is folded: no step is left of it", async () => {
    const bytes = modelBytes({
      nodes: [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n axes", "n1"),
        node("Concat", "n1 minus", "target", { axis: int(0) }),
        node("Reshape", "x target", "r"),
        node("Relu", "r", "y"),
      ],
      inputs: { x: ["float32", "n", 2, 3] },
      outputs: { y: ["float32", "n", 6] },
      initializers: [integers("zero", [], [0]), integers("axes", [1], [0]), integers("minus", [1], [-1])],
    });
    using model = await engine.load(bytes);
    const { y } = await model.run({ x: { shape: [2, 2, 3], data: new Float32Array(12).fill(-1) } });
    expect(y!.shape).toEqual([2, 6]);
    expect(model.plans.map((plan) => plan.steps.length)).toEqual([1]);
  });

  test("64-bit integers are exact or refused, never wrapped; the largest passes through a Slice", async () => {
    const slice = modelBytes({
      nodes: [node("Slice", "x starts ends", "y")],
      inputs: { x: ["float32", 4] },
      outputs: { y: ["float32", "m"] },
      initializers: [integers("starts", [1], [1]), integers("ends", [1], [2n ** 63n - 1n])],
    });
    using model = await engine.load(slice);
    expect(model.plans, "nothing but shapes decides the plan").toHaveLength(1);
    expect((await model.run({ x: [1, 2, 3, 4] }))["y"]!.data).toEqual(Float32Array.of(2, 3, 4));
    const sum = modelBytes({
      nodes: [node("Add", "a b", "y")],
      inputs: { a: ["int64", 1], b: ["int64", 1] },
      outputs: { y: ["int64", 1] },
    });
    using adder = await engine.load(sum);
    expect((await adder.run({ a: [3], b: [4] }))["y"]!.data).toEqual(BigInt64Array.of(7n));
    expect((await adder.run({ a: [2 ** 40], b: [1] }))["y"]!.data).toEqual(BigInt64Array.of(2n ** 40n + 1n));
    expect((await adder.run({ a: [2 ** 31 - 1], b: [1] }))["y"]!.data).toEqual(BigInt64Array.of(2n ** 31n));
    await expect(adder.run({ a: [2n ** 60n + 1n], b: [1] })).rejects.toThrow(DTypeError);
    await expect(adder.run({ a: [2 ** 53 - 1], b: [2 ** 53 - 1] })).rejects.toThrow(DTypeError);
    const scaled = modelBytes({
      nodes: [node("Cast", "x", "f", { to: int(1) }), node("Relu", "f", "r"), node("Gather", "r i", "y")],
      inputs: { x: ["float32", 3], i: ["int64", 1] },
      outputs: { y: ["float32", 1] },
    });
    using gatherer = await engine.load(scaled);
    expect((await gatherer.run({ x: [1, 2, 3], i: [-1] }))["y"]!.data).toEqual(Float32Array.of(3));
    await expect(gatherer.run({ x: [1, 2, 3], i: [2 ** 40] })).rejects.toThrow(/1099511627776/);
  });

  test("real work before a sum of 64-bit integers runs where the engine runs", async () => {
    const size = 96;
    const bytes = modelBytes({
      nodes: [
        node("MatMul", "x w", "p"),
        node("ArgMax", "p", "best", { axis: int(1), keepdims: int(0) }),
        node("ReduceSum", "best", "y", { keepdims: int(0) }),
      ],
      inputs: { x: ["float32", size, size] },
      outputs: { y: ["int64"] },
      initializers: [
        floats(
          "w",
          [size, size],
          Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0)),
        ),
      ],
    });
    using model = await engine.load(bytes);
    const x = Float32Array.from({ length: size * size }, (_, i) => (i % size === 5 ? 1 : 0)); // every row is largest at 5
    expect((await model.run({ x }))["y"]!.data).toEqual(BigInt64Array.of(BigInt(5 * size)));
    expect(model.plans.flatMap((plan) => plan.steps.map((_, i) => plan.stepName(i))).join()).toContain("MatMul");
    expect(model.hostNodes).toEqual(['ReduceSum "y"']);
  });

  test("a run has its inputs as they were when it was asked for; the signal of loading ends loading only", async () => {
    const controller = new AbortController();
    using model = await engine.load(addOne, { signal: controller.signal });
    controller.abort();
    const x = Float32Array.of(1, 2);
    const first = model.run({ x: { shape: [1, 2], data: x } });
    const second = model.run({ x: { shape: [1, 2], data: x } });
    x.fill(100);
    expect((await first)["y"]!.data).toEqual(Float32Array.of(2, 3));
    expect((await second)["y"]!.data).toEqual(Float32Array.of(2, 3));
  });

  test("numbers drawn anew are drawn in every run, also where a shape depends on them", async () => {
    const bytes = modelBytes({
      nodes: [
        node("ConstantOfShape", "n", "zeros"),
        node("RandomUniformLike", "zeros", "u"),
        node("Greater", "u half", "b"),
        node("NonZero", "b", "y"),
      ],
      outputs: { y: ["int64", 1, "k"] },
      initializers: [integers("n", [1], [64]), floats("half", [], [0.5])],
    });
    using model = await engine.load(bytes);
    const draws = [];
    for (let i = 0; i < 3; i++) draws.push(String((await model.run({}))["y"]!.data));
    expect(new Set(draws).size).toBe(3);
  });

  test("sums of 64-bit integers do not wrap", async () => {
    const bytes = modelBytes({
      nodes: [node("ReduceSum", "x", "y", { keepdims: int(0) }), node("CumSum", "x axis", "z")],
      inputs: { x: ["int64", 3] },
      outputs: { y: ["int64"], z: ["int64", 3] },
      initializers: [integers("axis", [], [0])],
    });
    using model = await engine.load(bytes);
    const { y, z } = await model.run({ x: [2 ** 31 - 1, 2 ** 31 - 1, 2] });
    expect(y!.data).toEqual(BigInt64Array.of(2n ** 32n));
    expect(z!.data).toEqual(BigInt64Array.of(2n ** 31n - 1n, 2n ** 32n - 2n, 2n ** 32n));
  });

  test("outputs whose shape depends on values come from a host step, and the model says so", async () => {
    const bytes = modelBytes({
      nodes: [node("Relu", "x", "r"), node("NonZero", "r", "i"), node("Transpose", "i", "y", { perm: ints(1, 0) })],
      inputs: { x: ["float32", 2, 2] },
      outputs: { y: ["int64", "k", 2] },
    });
    using model = await engine.load(bytes);
    expect((await model.run({ x: [1, -1, 0, 2] }))["y"]).toEqual({
      dtype: "int64",
      shape: [2, 2],
      data: BigInt64Array.of(0n, 0n, 1n, 1n),
    });
    expect((await model.run({ x: [0, 0, 3, 0] }))["y"]!.shape).toEqual([1, 2]);
    expect(model.hostNodes).toEqual(['NonZero "i"']);
  });
});

describe("control flow", () => {
  const branches = {
    then_branch: subgraph({ nodes: [node("Add", "x x", "a")], outputs: { a: ["float32", 2] } }),
    else_branch: subgraph({ nodes: [node("Neg", "x", "b")], outputs: { b: ["float32", 2] } }),
  };

  test("If on an input, and on a computed value", async () => {
    const given = modelBytes({
      nodes: [node("If", "c", "y", branches)],
      inputs: { x: ["float32", 2], c: ["bool"] },
      outputs: { y: ["float32", 2] },
    });
    using model = await engine.load(given);
    expect((await model.run({ x: [1, 2], c: [1] }))["y"]!.data).toEqual(Float32Array.of(2, 4));
    expect((await model.run({ x: [1, 2], c: [0] }))["y"]!.data).toEqual(Float32Array.of(-1, -2));
    const computed = modelBytes({
      nodes: [
        node("ReduceSum", "x", "s", { keepdims: int(0) }),
        node("Greater", "s zero", "c"),
        node("If", "c", "y", branches),
      ],
      inputs: { x: ["float32", 2] },
      outputs: { y: ["float32", 2] },
      initializers: [floats("zero", [], [0])],
    });
    using second = await engine.load(computed);
    expect((await second.run({ x: [1, 2] }))["y"]!.data).toEqual(Float32Array.of(2, 4));
    expect((await second.run({ x: [1, -2] }))["y"]!.data).toEqual(Float32Array.of(-1, 2));
  });

  test("a branch that is not taken may hold what is not supported", async () => {
    const bytes = modelBytes({
      nodes: [
        node("If", "c", "y", {
          ...branches,
          else_branch: subgraph({ nodes: [node("Frobnicate", "x", "b")], outputs: { b: ["float32", 2] } }),
        }),
      ],
      inputs: { x: ["float32", 2], c: ["bool"] },
      outputs: { y: ["float32", 2] },
    });
    using model = await engine.load(bytes);
    expect((await model.run({ x: [1, 2], c: [1] }))["y"]!.data).toEqual(Float32Array.of(2, 4));
    await expect(model.run({ x: [1, 2], c: [0] })).rejects.toThrow(UnsupportedError);
  });

  /** Doubles x until its sum passes a limit, and keeps every sum. */
  const doubling = modelBytes({
    nodes: [
      node("Loop", "trips - x", "last sums", {
        body: subgraph({
          nodes: [
            node("Add", "state state", "next"),
            node("ReduceSum", "next", "sum", { keepdims: int(0) }),
            node("Less", "sum limit", "again"),
          ],
          inputs: { i: ["int64"], c: ["bool"], state: ["float32", 2] },
          outputs: { again: ["bool"], next: ["float32", 2], sum: ["float32"] },
        }),
      }),
    ],
    inputs: { x: ["float32", 2], limit: ["float32"], trips: ["int64"] },
    outputs: { last: ["float32", 2], sums: ["float32", "k"] },
  });

  test("Loop ends by its condition or its trip count, and its body sees the names outside", async () => {
    using model = await engine.load(doubling);
    const { last, sums } = await model.run({ x: [1, 2], limit: [20], trips: [100] });
    expect(last!.data).toEqual(Float32Array.of(8, 16));
    expect(sums!.data).toEqual(Float32Array.of(6, 12, 24));
    const capped = await model.run({ x: [1, 2], limit: [1e6], trips: [2] });
    expect(capped["last"]!.data).toEqual(Float32Array.of(4, 8));
    const none = await model.run({ x: [1, 2], limit: [1e6], trips: [0] });
    expect(none["last"]!.data).toEqual(Float32Array.of(1, 2));
    expect(none["sums"]!.shape).toEqual([0]);
  });

  test("Scan walks sequences forwards and backwards", async () => {
    const scan = (direction: number): Uint8Array =>
      modelBytes({
        nodes: [
          node("Scan", "start x", "last steps", {
            num_scan_inputs: int(1),
            scan_input_directions: ints(direction),
            body: subgraph({
              nodes: [node("Add", "s e", "t"), node("Identity", "t", "o")],
              inputs: { s: ["float32"], e: ["float32"] },
              outputs: { t: ["float32"], o: ["float32"] },
            }),
          }),
        ],
        inputs: { start: ["float32"], x: ["float32", "n"] },
        outputs: { last: ["float32"], steps: ["float32", "n"] },
      });
    using forward = await engine.load(scan(0));
    expect((await forward.run({ start: [1], x: [1, 2, 3] }))["steps"]!.data).toEqual(Float32Array.of(2, 4, 7));
    using backward = await engine.load(scan(1));
    expect((await backward.run({ start: [1], x: [1, 2, 3] }))["steps"]!.data).toEqual(Float32Array.of(4, 6, 7));
  });

  test("a run can be aborted between segments", async () => {
    using model = await engine.load(doubling);
    const controller = new AbortController();
    const run = model.run({ x: [0, 0], limit: [1], trips: [1000] }, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(run).rejects.toThrow("enough");
    expect((await model.run({ x: [1, 2], limit: [1e6], trips: [1] }))["last"]!.data).toEqual(Float32Array.of(2, 4));
  });
});

describe("files", () => {
  test("a function of the model's own is carried out where it is called", async () => {
    const bytes = modelBytes(
      {
        nodes: [node("TwiceMinus", "x w", "y", {}, "mine")],
        inputs: { x: ["float32", 2], w: ["float32", 2] },
        outputs: { y: ["float32", 2] },
      },
      {
        opsets: { "": 21, mine: 1 },
        functions: [
          {
            name: "TwiceMinus",
            domain: "mine",
            inputs: ["a", "b"],
            outputs: ["c"],
            nodes: [node("Add", "a a", "d"), node("Sub", "d b", "c")],
            attributes: new Map(),
            opsets: { "": 21 },
          },
        ],
      },
    );
    using model = await engine.load(bytes);
    expect((await model.run({ x: [1, 2], w: [5, 5] }))["y"]!.data).toEqual(Float32Array.of(-3, -1));
  });

  test("a function's attributes come from its call, or have defaults; what is around the call outlives a cut in it", async () => {
    const reference = (value: string): AttributeProto => ({ kind: "reference", value, type: 1 });
    const bytes = modelBytes(
      {
        nodes: [
          node("Relu", "x", "kept"),
          node("Leak", "x", "a", { slope: { kind: "float", value: 0.5 } }, "mine"),
          node("Leak", "x", "b", {}, "mine"),
          node("Sum", "a b kept", "y"),
        ],
        inputs: { x: ["float32", 2] },
        outputs: { y: ["float32", 2] },
      },
      {
        opsets: { "": 21, mine: 1 },
        functions: [
          {
            name: "Leak",
            domain: "mine",
            inputs: ["v"],
            outputs: ["w"],
            nodes: [
              node("LeakyRelu", "v", "leaked", { alpha: reference("slope") }),
              node("NonZero", "leaked", "places"),
              node("Shape", "places", "s"),
              node("ReduceMax", "s", "rank", { keepdims: int(0) }),
              node("Cast", "rank", "two", { to: int(1) }),
              node("Mul", "leaked two", "w"),
            ],
            attributes: new Map([["slope", { kind: "float", value: 0.25 }]]),
            opsets: { "": 21 },
          },
        ],
      },
    );
    using model = await engine.load(bytes);
    // leaked: [1, -2·slope]; both are not 0, so two is 2.
    expect((await model.run({ x: [1, -2] }))["y"]!.data).toEqual(Float32Array.of(2 + 2 + 1, -2 - 1 + 0));
  });

  test("what is not supported is named before anything runs", async () => {
    const bytes = modelBytes({
      nodes: [node("Frobnicate", "x", "a"), node("Frobnicate", "a", "b"), node("Widget", "b", "y", {}, "com.example")],
      inputs: { x: ["float32", 2] },
      outputs: { y: ["float32", 2] },
    });
    await expect(engine.load(bytes)).rejects.toThrow(/Frobnicate \(2×\), com\.example::Widget \(1×\)/);
  });

  test("errors name the node", async () => {
    const bytes = modelBytes({
      nodes: [{ ...node("MatMul", "x x", "y"), name: "head/product" }],
      inputs: { x: ["float32", 2, 3] },
      outputs: { y: ["float32", 2, 2] },
    });
    await expect(engine.load(bytes)).rejects.toThrow(/MatMul "head\/product".*\[2, 3\]/s);
    const dangling = modelBytes({ nodes: [node("Relu", "nowhere", "y")], outputs: { y: ["float32", 1] } });
    await expect(engine.load(dangling)).rejects.toThrow(/Relu "y": input "nowhere"/);
  });

  test("bytes that are no model are refused", async () => {
    await expect(engine.load(new Uint8Array())).rejects.toThrow(FormatError);
    await expect(engine.load(new TextEncoder().encode("<!doctype html>"))).rejects.toThrow(FormatError);
    for (let length = 1; length < addOne.length - 1; length += 3)
      await expect(engine.load(addOne.subarray(0, length))).rejects.toThrow(/./);
  });

  test("float_data may come in one piece, in several, and number by number", () => {
    const bytesOf = (...values: number[]): number[] => [...new Uint8Array(Float32Array.from(values).buffer)];
    const packed = (...values: number[]): number[] => [(4 << 3) | 2, 4 * values.length, ...bytesOf(...values)];
    const single = (value: number): number[] => [(4 << 3) | 5, ...bytesOf(value)];
    const [dims, type] = [[1 << 3, 4], [2 << 3, 1]]; // prettier-ignore
    for (const pieces of [
      packed(1, 2, 3, 4),
      [...packed(1, 2), ...packed(3, 4)],
      [1, 2, 3, 4].flatMap(single),
      [...packed(1), ...single(2), ...packed(3, 4)],
    ]) {
      const { bytes } = decodeTensor(Uint8Array.from([...dims, ...type, ...pieces]));
      expect([...bytes]).toEqual(bytesOf(1, 2, 3, 4));
    }
    expect(() => decodeTensor(Uint8Array.from([...dims, ...type, ...packed(1, 2, 3)]))).toThrow(/needs 16 bytes.*12/);
  });

  test("data beside the file is read, and nothing elsewhere", async () => {
    const folder = await mkdtemp(join(tmpdir(), "neurite-external-"));
    try {
      const model = (external: Readonly<Record<string, string>>): Uint8Array =>
        modelBytes({
          nodes: [node("Add", "x w", "y")],
          inputs: { x: ["float32", 2] },
          outputs: { y: ["float32", 2] },
          initializers: [{ name: "w", dtype: "float32", shape: [2], bytes: new Uint8Array(), external }],
        });
      await writeFile(join(folder, "w.bin"), new Uint8Array(Float32Array.of(9, 1, 2).buffer));
      const path = join(folder, "model.onnx");
      await writeFile(path, model({ location: "w.bin", offset: "4", length: "8" }));
      using loaded = await engine.load(path);
      expect((await loaded.run({ x: [1, 1] }))["y"]!.data).toEqual(Float32Array.of(2, 3));
      await expect(engine.load(model({ location: "w.bin" }))).rejects.toThrow(/load the model from a path or URL/);
      for (const [external, why] of [
        [{ location: "../w.bin" }, /no file beside the model/],
        [{ location: "/etc/hostname" }, /no file beside the model/],
        [{ location: "w.bin", offset: "8" }, /4 bytes from 8, 8 are needed/],
        [{ location: "absent.bin" }, /cannot be read/],
        [{ location: "w.bin", length: "99999999999" }, /8 are needed/],
      ] as const) {
        await writeFile(path, model(external));
        await expect(engine.load(path)).rejects.toThrow(why);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("a path that does not exist says so", async () => {
    await expect(engine.load("no/such/model.onnx")).rejects.toThrow(/no\/such\/model\.onnx cannot be read/);
  });
});
