// The minefield itself: kernels that are wrong in each of the ways it is laid against must be reported, or the other tests
// of this folder mean little.

import { afterAll, beforeAll, expect, it } from "vitest";
import type { Gpu } from "../../src/device/gpu.ts";
import { transpose } from "../../src/ops/transpose.ts";
import { tensorData } from "../../src/core/tensorData.ts";
import { defineStrategy, type AnyStrategy } from "../../shaders/strategy.ts";
import { acquireKernelGpu, releaseKernelGpus } from "../harness/kernelGpu.ts";
import { failuresOf } from "../harness/kernelChecks.ts";
import { prepareProblem } from "../harness/operatorCases.ts";

const COUNT = 6;

let gpu: Gpu;
beforeAll(async () => {
  gpu = await acquireKernelGpu();
});
afterAll(() => {
  gpu.dispose();
  releaseKernelGpus();
});

/** A strategy of Transpose on a [6] vector, which is a copy, whose `main` is `body`. */
function copying(name: string, body: string): AnyStrategy {
  return defineStrategy({
    op: transpose,
    name,
    params: {},
    supports: () => true,
    dispatch: () => [1, 1, 1],
    uniforms: () => ({}),
    trafficBytes: () => 8 * COUNT,
    source: () => ({
      code: `@compute @workgroup_size(${COUNT + 1})\nfn main(@builtin(local_invocation_index) i: u32) { ${body} }`,
    }),
  });
}

async function verdict(strategy: AnyStrategy): Promise<string[]> {
  const input = tensorData(Float32Array.of(1, 2, 3, 4, 5, 6), [COUNT]);
  const { problem, inputs, expected } = prepareProblem(transpose, [input]);
  const task = { operator: transpose, strategy, problem, params: {}, inputs };
  return failuresOf(gpu, [{ what: "a vector", task, expected }]);
}

it.each([
  ["right", `if (i < ${COUNT}u) { transposed[i] = data[i]; }`, /^$/],
  ["skips an element", `if (i < ${COUNT - 1}u) { transposed[i] = data[i]; }`, /element 5 of 6 was never written/],
  ["writes past the end", `transposed[i] = 1.0 + f32(i);`, /element 6 outside it was overwritten/],
  ["is off by one ULP", `if (i < ${COUNT}u) { transposed[i] = data[i] * 1.00000012; }`, /./],
])("a kernel that %s", async (name, body, message) => {
  expect((await verdict(copying(name, body))).join("; ")).toMatch(message);
});
