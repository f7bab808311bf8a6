// Rewrites in the scheduler: which nodes are replaced, by what, and what is left of constants. Made-up rewrites and prices
// show the rules; nothing runs on a GPU.

import { describe, expect, it } from "vitest";
import { UnsupportedError, UsageError } from "../../src/core/errors.ts";
import { tensorData } from "../../src/core/tensorData.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { mul } from "../../src/ops/binary.ts";
import { reduceSum } from "../../src/ops/reduce.ts";
import { matMul } from "../../src/ops/matmul.ts";
import { reshapeTo } from "../../src/ops/reshape.ts";
import { relu } from "../../src/ops/unary.ts";
import { HARDWARE_TRAITS, SOFTWARE_TRAITS } from "../../src/scheduler/choose.ts";
import type { DispatchStep } from "../../src/scheduler/plan.ts";
import { schedule, type Compiled, type ScheduleOptions } from "../../src/scheduler/schedule.ts";
import { loadRewrites, loadStrategies } from "../../shaders/index.ts";
import { DEFAULT_LIMITS, defineRewrite, type AnyRewrite } from "../../shaders/strategy.ts";

const options = (more: Partial<ScheduleOptions> = {}): ScheduleOptions => ({
  limits: DEFAULT_LIMITS,
  traits: HARDWARE_TRAITS,
  loadStrategies,
  loadRewrites,
  narrowStorage: false,
  ...more,
});

const only =
  (...rewrites: readonly AnyRewrite[]): NonNullable<ScheduleOptions["loadRewrites"]> =>
  (name) =>
    Promise.resolve(rewrites.filter(({ operator }) => operator === name));

/** relu(a·b), b a constant or an input. */
function product(M: number, K: number, N: number, weights: "constant" | "input" = "input"): Graph {
  const graph = new Graph();
  const a = graph.input("a", { dtype: "float32", shape: [M, K] });
  const type = { dtype: "float32", shape: [K, N] } as const;
  const b: Value =
    weights === "input"
      ? graph.input("b", type)
      : graph.constant(
          tensorData(
            Float32Array.from({ length: K * N }, (_, i) => Math.sin(i)),
            [K, N],
          ),
        );
  graph.output("y", graph.apply(relu, [graph.apply(matMul, [a, b])]));
  return graph;
}

const dispatches = ({ plan }: Compiled): DispatchStep[] => plan.steps.filter((step) => step.kind === "dispatch");
/** All operators in order, whichever of them share a dispatch. */
const operatorsOf = (compiled: Compiled): string =>
  dispatches(compiled)
    .flatMap(({ nodes }) => nodes.map(({ operator }) => operator))
    .join("+");
const rewriteOf = (compiled: Compiled): string | undefined => dispatches(compiled)[0]!.rewrite;

describe("rewrites", () => {
  it("are chosen where few results have long sums, on an adapter that this leaves idle", async () => {
    expect(rewriteOf(await schedule(product(4, 65536, 16), options()))).toMatch(/^splitK parts=\d+$/);
    expect(rewriteOf(await schedule(product(512, 512, 512), options()))).toBeUndefined();
    const software = options({ traits: SOFTWARE_TRAITS });
    expect(rewriteOf(await schedule(product(64, 64, 64), software))).toBeUndefined();
  });

  it("are fused like any nodes, and named in plans", async () => {
    const forced = await schedule(product(4, 4096, 16), options({ strategies: { MatMul: "splitK" } }));
    const steps = dispatches(forced);
    expect(steps.at(-1)!.operator).toBe("ReduceSum+Relu");
    expect(steps.every(({ rewrite }) => rewrite?.startsWith("splitK parts="))).toBe(true);
    expect(steps[0]!.nodes[0]!.name).toMatch(/^MatMul\/splitK parts=\d+\/Transpose$/);
    expect(String(forced.plan)).toMatch(/splitK parts=\d+ › /);
  });

  it("are forced by operator or node, and give their reason where they can't", async () => {
    const byNode = await schedule(product(4, 4096, 16), options({ strategies: { MatMul: "splitK" } }));
    expect(rewriteOf(byNode)).toBeDefined();
    const kernel = await schedule(product(4, 65536, 16), options({ strategies: { MatMul: "naive" } }));
    expect(dispatches(kernel)[0]).toMatchObject({ strategy: "naive" });
    expect(rewriteOf(kernel)).toBeUndefined();
    await expect(schedule(product(4, 7, 16), options({ strategies: { MatMul: "splitK" } }))).rejects.toThrow(
      new UnsupportedError("MatMul: MatMul can't be rewritten by splitK here (a sum of 7 is not 32 equal parts)"),
    );
    await expect(schedule(product(4, 7, 16), options({ strategies: { MatMul: "nonsense" } }))).rejects.toThrow(
      UsageError,
    );
    await expect(schedule(product(4, 7, 16), options({ strategies: { MatMul: "nonsense" } }))).rejects.toThrow(
      /MatMul has no strategy "nonsense"; it has naive, .*splitK/,
    );
  });

  /** A product by way of a doubled B: the doubling is work on weights. */
  const doubled = defineRewrite({
    op: matMul,
    name: "doubled",
    params: {},
    supports: () => true,
    rewrite(build, [a, b], { attributes }) {
      const twice = build.apply(mul, [b, build.constant(2)]);
      return [build.apply(mul, [build.apply(matMul, [a, twice], attributes), build.constant(0.5)])];
    },
  });

  it("compute once what depends on constants alone", async () => {
    const compile = (weights: "constant" | "input"): Promise<Compiled> =>
      schedule(product(8, 16, 8, weights), options({ loadRewrites: only(doubled), strategies: { MatMul: "doubled" } }));
    const folded = await compile("constant");
    expect(operatorsOf(folded)).toBe("MatMul+Mul+Relu");
    const [weights] = [...folded.constants.values()].filter(({ data }) => data.length === 128);
    expect(weights!.data[5]).toBeCloseTo(2 * Math.sin(5), 6);
    expect(operatorsOf(await compile("input"))).toBe("Mul+MatMul+Mul+Relu");
  });

  it("are rewritten in their turn, but not by themselves", async () => {
    const viaSum = defineRewrite({
      op: reduceSum,
      name: "inHalves",
      params: {},
      supports: ({ inputs }) => inputs[0]!.shape[0]! % 2 === 0 || "an odd number",
      rewrite(build, [data], { attributes, outputs }) {
        const { shape } = data!;
        const halves = build.apply(mul, [data, build.constant(1)]);
        const sum = build.apply(reduceSum, [halves], attributes);
        expect(sum.shape).toEqual(outputs[0]!.shape);
        expect(shape[0]! % 2).toBe(0);
        return [sum];
      },
    });
    const splitK = (await loadRewrites("MatMul")).find(({ name }) => name === "splitK")!;
    const compiled = await schedule(
      product(4, 4096, 16),
      options({ loadRewrites: only({ ...splitK, params: { parts: [8] } }, doubled), strategies: { MatMul: "splitK" } }),
    );
    expect(rewriteOf(compiled)).toBe("splitK parts=8");
    const sums = new Graph();
    const x = sums.input("x", { dtype: "float32", shape: [8, 32] });
    sums.output("y", sums.apply(reduceSum, [x], { axes: [1] }));
    const once = await schedule(sums, options({ loadRewrites: only(viaSum), strategies: { ReduceSum: "inHalves" } }));
    expect(operatorsOf(once)).toBe("Mul+ReduceSum");
  });

  it("are not taken where something on the way would be larger than the device binds", async () => {
    const wide = defineRewrite({
      op: matMul,
      name: "wide",
      params: {},
      supports: () => true,
      rewrite(build, [a, b]) {
        const halves = build.constant(tensorData(Float32Array.of(0.5, 0.5), [2]));
        const stacked = build.apply(mul, [reshapeTo(build, b!, [...b!.shape, 1]), halves]);
        return [build.apply(matMul, [a, build.apply(reduceSum, [stacked], { axes: [2], keepdims: 0 })])];
      },
    });
    const limits = { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: 4 * 4096 * 16 };
    const forced = options({ limits, loadRewrites: only(wide), strategies: { MatMul: "wide" } });
    await expect(schedule(product(4, 4096, 16), forced)).rejects.toThrow(
      "MatMul can't be rewritten by wide here (524288 bytes on the way are more than this device binds)",
    );
    expect(rewriteOf(await schedule(product(4, 4096, 16), { ...forced, strategies: undefined }))).toBeUndefined();
  });

  it("must give results of the operator's type", async () => {
    const wrong = defineRewrite({
      op: matMul,
      name: "wrong",
      params: {},
      supports: () => true,
      rewrite: (_, [a]) => [a!],
    });
    await expect(
      schedule(product(4, 7, 16), options({ loadRewrites: only(wrong), strategies: { MatMul: "wrong" } })),
    ).rejects.toThrow("MatMul/wrong: output 0 is float32 [4, 7], expected float32 [4, 16]");
  });
});
