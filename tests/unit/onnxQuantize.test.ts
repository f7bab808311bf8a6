// Quantized operators of ONNX against the same in plain integers: exactness of long sums, ties, saturation, packed weights.

import { afterAll, beforeAll, expect, test } from "vitest";
import { Random } from "../../src/core/random.ts";
import { createEngine, type Engine } from "../../src/engine.ts";
import { floats, int, modelBytes, node } from "../harness/onnxModels.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ backend: "cpu" });
});
afterAll(() => {
  engine.dispose();
});

const bytesOf = (count: number, seed: number): number[] => {
  const random = new Random(seed);
  return Array.from({ length: count }, () => random.integer(256));
};

// Sums of 200 products fit float32 as they are, those of 300 when one side is split, those of 5,000 when both are.
test.each([200, 300, 5000])("MatMulInteger with sums of %i products is exact", async (K) => {
  const bytes = modelBytes({
    nodes: [node("MatMulInteger", "a b za zb", "y")],
    inputs: { a: ["uint8", 2, K], b: ["uint8", K, 2], za: ["uint8"], zb: ["uint8"] },
    outputs: { y: ["int32", 2, 2] },
  });
  using model = await engine.load(bytes);
  // Half of the rows at the limits, where sums are largest.
  const a = bytesOf(2 * K, 1).map((value, i) => (i < K ? 255 : value));
  const b = bytesOf(2 * K, 2).map((value, i) => (i % 2 === 0 ? 255 : value));
  const { y } = await model.run({ a, b, za: [0], zb: [3] });
  const expected = [0, 1].flatMap((m) =>
    [0, 1].map((n) => Array.from({ length: K }, (_, k) => a[m * K + k]! * (b[2 * k + n]! - 3)).reduce((p, q) => p + q)),
  );
  expect([...y!.data]).toEqual(expected);
});

test("QuantizeLinear rounds the float32 quotient, ties to even, and saturates", async () => {
  const x = [0.5, 1.5, 2.5, -0.5, 300, -300, 0.25, 1e30];
  const bytes = modelBytes({
    nodes: [node("QuantizeLinear", "x scale zero", "y")],
    inputs: { x: ["float32", x.length] },
    outputs: { y: ["uint8", x.length] },
    initializers: [floats("scale", [], [1]), { name: "zero", dtype: "uint8", shape: [], bytes: Uint8Array.of(10) }],
  });
  using model = await engine.load(bytes);
  expect([...(await model.run({ x }))["y"]!.data]).toEqual([10, 12, 12, 10, 255, 0, 10, 255]);
});

test("MatMulNBits unpacks low halves first and takes 8 for the zero point", async () => {
  const packed = Uint8Array.from({ length: 8 }, (_, i) => i | ((15 - i) << 4)); // 0, 15, 1, 14 …
  const bytes = modelBytes(
    {
      nodes: [node("MatMulNBits", "x w s", "y", { K: int(16), N: int(1), block_size: int(16) }, "com.microsoft")],
      inputs: { x: ["float32", 1, 16] },
      outputs: { y: ["float32", 1, 1] },
      initializers: [{ name: "w", dtype: "uint8", shape: [1, 1, 8], bytes: packed }, floats("s", [1], [0.5])],
    },
    { opsets: { "": 17, "com.microsoft": 1 } },
  );
  using model = await engine.load(bytes);
  for (const [at, weight] of [0, 15, 1, 14].entries()) {
    const x = Array.from({ length: 16 }, (_, i) => Number(i === at));
    expect([...(await model.run({ x }))["y"]!.data]).toEqual([(weight - 8) * 0.5]);
  }
});

test("MatMulNBits keeps weights packed, with zero points and a bias, and unpacks them where g_idx reorders", async () => {
  const [K, N, block] = [32, 2, 16];
  const packed = Uint8Array.from({ length: (N * K) / 2 }, (_, i) => (37 * i) % 256);
  const number = (n: number, k: number): number => (packed[(n * K + k) >> 1]! >> (4 * (k & 1))) & 15;
  const scales = [0.5, 2, 0.25, 1];
  const zeros = [3, 9, 15, 0];
  const gIndex = Array.from({ length: K }, (_, k) => k % 2);
  const x = Array.from({ length: K }, (_, k) => (k % 5) - 2);
  for (const isReordered of [false, true]) {
    const inputs = `x w s z ${isReordered ? "g" : "-"} bias`;
    const bytes = modelBytes(
      {
        nodes: [node("MatMulNBits", inputs, "y", { K: int(K), N: int(N), block_size: int(block) }, "com.microsoft")],
        inputs: { x: ["float32", 1, K] },
        outputs: { y: ["float32", 1, N] },
        initializers: [
          { name: "w", dtype: "uint8", shape: [N, 2, 8], bytes: packed },
          floats("s", [4], scales),
          { name: "z", dtype: "uint8", shape: [2], bytes: Uint8Array.of(3 | (9 << 4), 15) },
          { name: "g", dtype: "int32", shape: [K], bytes: new Uint8Array(Int32Array.from(gIndex).buffer) },
          floats("bias", [N], [100, -100]),
        ],
      },
      { opsets: { "": 17, "com.microsoft": 1 } },
    );
    using model = await engine.load(bytes);
    const expected = [0, 1].map((n) => {
      const weight = (k: number): number => {
        const at = 2 * n + (isReordered ? gIndex[k]! : Math.floor(k / block));
        return (number(n, k) - zeros[at]!) * scales[at]!;
      };
      return x.reduce((sum, value, k) => sum + value * weight(k), [100, -100][n]!);
    });
    expect([...(await model.run({ x }))["y"]!.data]).toEqual(expected);
    expect(model.plans.some((plan) => plan.toString().includes("MatMulNBits"))).toBe(!isReordered);
  }
});
