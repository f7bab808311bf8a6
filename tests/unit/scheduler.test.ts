// Order, buffers and strategies: what the scheduler decides, checked without a GPU.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UnsupportedError } from "../../src/core/errors.ts";
import { createEngine } from "../../src/engine.ts";
import { relu } from "../../src/graph/functional.ts";
import { assignBuffers, type Lifetime } from "../../src/scheduler/memory.ts";
import { orderSteps } from "../../src/scheduler/order.ts";
import { HARDWARE_TRAITS, SOFTWARE_TRAITS, chooseStrategy } from "../../src/scheduler/choose.ts";
import { Plan, formatBytes, formatCount, formatTable, type PlanData } from "../../src/scheduler/plan.ts";
import { conv } from "../../src/ops/conv.ts";
import { matMul } from "../../src/ops/matmul.ts";
import { loadStrategies } from "../../shaders/index.ts";
import { DEFAULT_LIMITS, parameterSets } from "../../shaders/strategy.ts";

const lifetimes: fc.Arbitrary<Lifetime[]> = fc
  .array(fc.record({ size: fc.integer({ min: 1, max: 4096 }), first: fc.nat(40), length: fc.nat(12) }), {
    maxLength: 60,
  })
  .chain((tensors) =>
    fc.array(fc.tuple(fc.nat(59), fc.nat(59)), { maxLength: 40 }).map((pairs) =>
      tensors.map(({ size, first, length }, i) => ({
        sizeBytes: size * 16,
        firstStep: first,
        lastStep: first + length,
        apartFrom: new Set(pairs.flatMap(([a, b]) => (a === i ? [b] : b === i ? [a] : []))),
      })),
    ),
  );

describe("buffer assignment", () => {
  it("never lets two tensors that are alive together overlap, nor share a buffer where a dispatch forbids it", () => {
    fc.assert(
      fc.property(lifetimes, (tensors) => {
        const { places, bufferSizes, totalBytes } = assignBuffers(tensors);
        tensors.forEach((a, i) => {
          const place = places[i]!;
          expect(place.offsetBytes % 256).toBe(0);
          expect(bufferSizes[place.buffer]).toBeGreaterThanOrEqual(place.offsetBytes + a.sizeBytes);
          for (let j = 0; j < i; j++) {
            const b = tensors[j]!;
            const other = places[j]!;
            if (a.firstStep > b.lastStep || b.firstStep > a.lastStep || place.buffer !== other.buffer) continue;
            expect(a.apartFrom!.has(j)).toBe(false);
            const apart =
              place.offsetBytes + a.sizeBytes <= other.offsetBytes ||
              other.offsetBytes + b.sizeBytes <= place.offsetBytes;
            expect(apart).toBe(true);
          }
        });
        expect(totalBytes).toBe(bufferSizes.reduce((sum, size) => sum + size, 0));
      }),
      { seed: 7, numRuns: 200 },
    );
  });

  it("states the largest sum alive at one step", () => {
    const tensors = [
      { sizeBytes: 16, firstStep: 0, lastStep: 2 },
      { sizeBytes: 32, firstStep: 2, lastStep: 3 },
      { sizeBytes: 64, firstStep: 3, lastStep: 3 },
    ];
    expect(assignBuffers(tensors).liveBytes).toBe(96);
    expect(assignBuffers([]).totalBytes).toBe(0);
  });
});

describe("order", () => {
  const step = (after: number[], writtenBytes = 0, reads: number[] = []): Parameters<typeof orderSteps>[0][number] => ({
    after: new Set(after),
    writtenBytes,
    reads: reads.map((tensor) => ({ tensor, sizeBytes: 100 })),
  });

  it("respects what each step needs and frees early", () => {
    // 0 makes a big tensor, 1 is independent, 2 frees 0's: 2 goes before 1.
    expect(orderSteps([step([], 100), step([], 100), step([0], 0, [0])])).toEqual([0, 2, 1]);
  });

  it("refuses a circle", () => {
    expect(() => orderSteps([step([1]), step([0])])).toThrow("circle");
  });
});

describe("strategy choice", () => {
  const problem = {
    inputs: [512, 512].map(() => ({ dtype: "float32" as const, shape: [512, 512] })),
    outputs: [{ dtype: "float32" as const, shape: [512, 512] }],
    attributes: matMul.attributes,
  };

  it("avoids barriers on a software adapter and uses workgroup memory on a GPU", async () => {
    const strategies = await loadStrategies("MatMul");
    const choose = (traits: typeof SOFTWARE_TRAITS): string =>
      chooseStrategy(matMul, problem, strategies, {
        limits: DEFAULT_LIMITS,
        traits,
        forced: undefined,
        isKnown: () => false,
      }).strategy.name;
    expect(choose(SOFTWARE_TRAITS)).toBe("registerTile");
    expect(choose(HARDWARE_TRAITS)).toBe("tiledRegister");
  });

  it("is the best of all candidates, though most are never written out", async () => {
    const strategies = await loadStrategies("MatMul");
    const context = { limits: DEFAULT_LIMITS, forced: undefined, isKnown: () => false };
    for (const traits of [SOFTWARE_TRAITS, HARDWARE_TRAITS])
      for (const [M, K, N] of [
        [1, 64, 64],
        [7, 33, 5],
        [64, 64, 64],
        [300, 512, 200],
        [1024, 16, 1024],
      ] as const) {
        // prettier-ignore
        const type = (...shape: number[]) => ({ dtype: "float32" as const, shape });
        const given = { inputs: [type(M, K), type(K, N)], outputs: [type(M, N)], attributes: matMul.attributes };
        const estimates = strategies.flatMap((strategy) =>
          parameterSets(strategy).flatMap((params) => {
            const single = Object.fromEntries(Object.entries(params).map(([name, value]) => [name, [value]]));
            try {
              return chooseStrategy(matMul, given, [{ ...strategy, params: single }], { ...context, traits })
                .estimatedMs;
            } catch (error) {
              if (error instanceof UnsupportedError) return [];
              throw error;
            }
          }),
        );
        expect(estimates.length).toBeGreaterThan(3);
        expect(chooseStrategy(matMul, given, strategies, { ...context, traits }).estimatedMs).toBe(
          Math.min(...estimates),
        );
      }
  });

  it("counts words of workgroup memory where they cost compiling", async () => {
    const words = async (operator: typeof matMul | typeof conv, given: typeof problem, forced: string) => {
      const [without, withWords] = await Promise.all(
        [0, 1e6].map(async (compileNsPerWorkgroupWord) => {
          const traits = { ...SOFTWARE_TRAITS, compileNsPerWorkgroupWord, expectedRuns: 1 };
          const strategies = (await loadStrategies(operator.name)).map((strategy) => ({
            ...strategy,
            params: Object.fromEntries(Object.entries(strategy.params).map(([name, [first]]) => [name, [first!]])),
          }));
          const context = { limits: DEFAULT_LIMITS, traits, forced, isKnown: () => false };
          return chooseStrategy(operator, given, strategies, context).estimatedMs;
        }),
      );
      return Math.round(withWords! - without!);
    };
    expect(await words(matMul, problem, "naive")).toBe(0);
    const tile = (await loadStrategies("MatMul")).find(({ name }) => name === "tiled")!.params["tile"]![0] as number;
    expect(await words(matMul, problem, "tiled")).toBe(2 * tile ** 2); // array<array<f32, TILE>, TILE>, twice
    const type = (...shape: number[]) => ({ dtype: "float32" as const, shape });
    const convolution = {
      inputs: [type(1, 64, 20, 20), type(64, 64, 3, 3)],
      outputs: [type(1, 64, 18, 18)],
      attributes: { ...conv.attributes, group: 1 } as unknown as typeof matMul.attributes,
    };
    expect(await words(conv, convolution, "implicitGemm")).toBe(4 * (80 + 320)); // array<vec4<f32>, …>
  });

  it("says why a forced strategy cannot run", async () => {
    const refusing = (await loadStrategies("MatMul")).map((strategy) => ({ ...strategy, supports: () => "not today" }));
    expect(() =>
      chooseStrategy(matMul as never, problem, refusing, {
        limits: DEFAULT_LIMITS,
        traits: SOFTWARE_TRAITS,
        isKnown: () => false,
        forced: "tiled",
      }),
    ).toThrow("MatMul: no strategy can run this here (tiled: not today)");
  });
});

describe("a plan", () => {
  it("prints as a table", async () => {
    using engine = await createEngine({ backend: "cpu" });
    using model = await engine.compile(
      (x, w) => relu(x.matmul(w)).sum({ axes: 1 }),
      { x: [2, 3], w: [3, 4] },
      {
        strategies: { MatMul: "naive", ReduceSum: "naive" },
      },
    );
    const lines = String(model.plan).split("\n");
    expect(lines).toHaveLength(5);
    expect(lines[0]).toMatch(/^step +operator +strategy +shapes +workgroups +flops +bytes +buffers$/);
    expect(lines[2]).toMatch(/^0 +MatMul\+Relu +naive.* +\[2, 3\] \[3, 4\] → \[2, 4\] +1×1×1 +56 +104 B +b0 b1 → b3$/);
    expect(lines[4]).toContain("2 steps, 2 kernels, 4 buffers; intermediates 32 B (live at most 32 B)");
  });

  it("forgets nothing as JSON", async () => {
    using engine = await createEngine({ backend: "cpu" });
    using model = await engine.compile((x) => x.exp().sum(), { x: [5] });
    const copy = new Plan(JSON.parse(JSON.stringify(model.plan)) as PlanData);
    expect(copy).toEqual(model.plan);
  });

  it("formats counts, bytes and tables for people", () => {
    expect([999, 1234, 5.6e9].map(formatCount)).toEqual(["999", "1.23 k", "5.60 G"]);
    expect([16, 1536, 3 * 2 ** 20].map(formatBytes)).toEqual(["16 B", "1.50 KiB", "3.00 MiB"]);
    expect(formatTable(["a", "bb"], [["ccc", "d"]])).toBe("a    bb\n───  ──\nccc  d");
  });
});
