// A transformer block as exporters write it, from a file to results: with every recognition switched on and off it gives the same
// numbers, and verify finds each of its kernels right.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngine, Random, type Engine } from "../../src/index.ts";
import type { OptimizeOptions } from "../../src/graph/passes/optimize.ts";
import type { AttributeProto, NodeProto } from "../../src/formats/onnx/model.ts";
import { floats, int, integers, ints, modelBytes, node } from "../harness/onnxModels.ts";

const [B, T, H, D] = [2, 7, 2, 8];
const E = H * D;
const random = new Random(5);
const weights = (name: string, ...shape: number[]) =>
  floats(
    name,
    shape,
    Array.from({ length: shape.reduce((size, extent) => size * extent, 1) }, () => random.uniform() - 0.5),
  );
const scalar = (name: string, value: number) => floats(name, [], [value]);
const to = (value: number): Readonly<Record<string, AttributeProto>> => ({ to: int(value) });

/** x [B, T, E], padding mask [B, T] → attention with a mask, residual, layer normalisation, Gelu, residual. */
function transformerBlock(): Uint8Array {
  const heads = (name: string, perm: readonly number[]): NodeProto[] => [
    node("MatMul", `x w_${name}`, `${name}_flat`),
    node("Add", `${name}_flat b_${name}`, `${name}_biased`),
    node("Reshape", `${name}_biased split`, `${name}_split`),
    node("Transpose", `${name}_split`, name, { perm: ints(...perm) }),
  ];
  return modelBytes(
    {
      nodes: [
        ...heads("q", [0, 2, 1, 3]),
        ...heads("k", [0, 2, 3, 1]),
        ...heads("v", [0, 2, 1, 3]),
        node("Div", "q root", "q_scaled"),
        node("MatMul", "q_scaled k", "scores"),
        node("Reshape", "padding wide", "padding4"),
        node("Cast", "padding4", "kept", to(1)),
        node("Sub", "one kept", "dropped"),
        node("Mul", "dropped lowest", "penalties"),
        node("Add", "scores penalties", "masked"),
        node("Softmax", "masked", "shares", { axis: int(-1) }),
        node("MatMul", "shares v", "context"),
        node("Transpose", "context", "context_merged", { perm: ints(0, 2, 1, 3) }),
        node("Reshape", "context_merged merge", "context_flat"),
        node("MatMul", "context_flat w_out", "projected"),
        node("Add", "projected x", "residual"),
        // Layer normalisation as opset 16 had it.
        node("ReduceMean", "residual", "mean", { axes: ints(-1) }),
        node("Sub", "residual mean", "centred"),
        node("Pow", "centred two", "squares"),
        node("ReduceMean", "squares", "variance", { axes: ints(-1) }),
        node("Add", "variance epsilon", "shifted"),
        node("Sqrt", "shifted", "deviation"),
        node("Div", "centred deviation", "normal"),
        node("Mul", "normal gamma", "scaled"),
        node("Add", "scaled beta", "normalized"),
        node("MatMul", "normalized w_up", "up"),
        node("Div", "up root2", "up_scaled"),
        node("Erf", "up_scaled", "erf"),
        node("Add", "erf one", "erf1"),
        node("Mul", "up erf1", "gated"),
        node("Mul", "gated half", "activated"),
        node("MatMul", "activated w_down", "down"),
        node("Add", "down residual", "y"),
      ],
      inputs: { x: ["float32", B, T, E], padding: ["int64", B, T] },
      outputs: { y: ["float32", B, T, E] },
      initializers: [
        ...["q", "k", "v"].flatMap((name) => [weights(`w_${name}`, E, E), weights(`b_${name}`, E)]),
        weights("w_out", E, E),
        weights("w_up", E, 4 * E),
        weights("w_down", 4 * E, E),
        weights("gamma", E),
        weights("beta", E),
        integers("split", [4], [B, T, H, D]),
        integers("merge", [3], [B, T, E]),
        integers("wide", [4], [B, 1, 1, T]),
        scalar("root", Math.sqrt(D)),
        scalar("root2", Math.SQRT2),
        scalar("one", 1),
        scalar("half", 0.5),
        scalar("two", 2),
        scalar("epsilon", 1e-5),
        scalar("lowest", -3.4028234663852886e38),
      ],
    },
    { opsets: { "": 16 } },
  );
}

let gpu: Engine;
beforeAll(async () => {
  gpu = await createEngine();
});
afterAll(() => {
  gpu.dispose();
});

describe("a transformer block", () => {
  const file = transformerBlock();
  const inputs = {
    x: { shape: [B, T, E], data: Float32Array.from({ length: B * T * E }, (_, i) => Math.sin(1.3 * i)) },
    padding: { shape: [B, T], data: Int32Array.from({ length: B * T }, (_, i) => (i % T < T - 2 || i < T ? 1 : 0)) },
  };
  const run = async (optimize: OptimizeOptions) => {
    const model = await gpu.load(file, { optimize });
    const { y } = await model.run(inputs);
    const reports = await model.verify(inputs);
    for (const report of reports) expect(report.passed, String(report)).toBe(true);
    const operators = new Set(
      model.plans.flatMap(({ steps }) =>
        steps.flatMap((step) => (step.kind === "dispatch" ? step.nodes.map(({ operator }) => operator) : [])),
      ),
    );
    const result = {
      y: Float32Array.from(y!.data as Float32Array),
      operators,
      steps: model.plans.flatMap(({ steps }) => steps).length,
    };
    model.dispose();
    return result;
  };

  test("recognised or not, the numbers are the same", async () => {
    const whole = await run({});
    expect([...whole.operators]).toEqual(expect.arrayContaining(["Standardization", "Gelu"]));
    for (const name of ["Erf", "ReduceMean", "Transpose"]) expect([...whole.operators]).not.toContain(name);
    const largest = Math.max(...whole.y.map(Math.abs));
    for (const off of ["attention", "activations", "normalizations", "transposes"] as const) {
      const without = await run({ [off]: false });
      expect(without.steps, off).toBeGreaterThanOrEqual(whole.steps);
      whole.y.forEach((value, i) => {
        expect(Math.abs(without.y[i]! - value), off).toBeLessThanOrEqual(1e-5 * largest);
      });
    }
    const nothing = await run({ attention: false, activations: false, normalizations: false });
    expect([...nothing.operators]).toEqual(expect.arrayContaining(["Softmax", "Erf", "ReduceMean"]));
    expect(nothing.steps).toBeGreaterThan(whole.steps);
  });
});
