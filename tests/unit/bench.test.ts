import { describe, expect, test } from "vitest";
import { bars } from "../../bench/charts/bars.ts";
import { arenaOf } from "../../bench/kernels/contenders.ts";
import { htmlReport } from "../../bench/kernels/html.ts";
import { checkOf, referenceOf, rowsOfProduct } from "../../bench/kernels/measure.ts";
import { parseCommandLine } from "../../bench/kernels/options.ts";
import { parseShape, problems, regretFamilies, regretProblems, typesOf } from "../../bench/kernels/problems.ts";
import { parseResults, ranked, type BenchResults, type Line } from "../../bench/kernels/results.ts";
import { geometricMean, quantile, regretOf, shareOfRoof, spreadOf } from "../../bench/kernels/statistics.ts";
import { formatProblem, formatRegret } from "../../bench/kernels/text.ts";
import { formatReport, median, verdicts, type Cell, type PeerResults } from "../../bench/peers/report.ts";
import { onnxModel } from "../../bench/peers/models.ts";
import { dataOf, workload, workloads } from "../../bench/peers/workloads.ts";
import { decodeModel } from "../../src/formats/onnx/decode.ts";

describe("statistics", () => {
  test("quantiles lie between neighbours in proportion", () => {
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(quantile([10, 20, 30], 0.25)).toBe(15);
    expect(quantile([7], 0.9)).toBe(7);
    expect(quantile([], 0.5)).toBeUndefined();
  });

  test("the spread is half the distance of the quartiles, as a share", () => {
    expect(spreadOf([8, 9, 10, 11, 12])).toEqual({ medianMs: 10, spread: 0.1, samples: 5 });
    expect(spreadOf([])).toBeUndefined();
  });

  test("a kernel is held against the ceiling that binds it", () => {
    const roof = { gflops: 100, gigabytesPerSecond: 10 };
    // 1 GFLOP and 10 MB: 10 ms of arithmetic, 1 ms of memory.
    expect(shareOfRoof(1e9, 1e7, 20, roof)).toEqual({ share: 0.5, bound: "arithmetic" });
    expect(shareOfRoof(1e6, 1e8, 40, roof)).toEqual({ share: 0.25, bound: "memory" });
    expect(shareOfRoof(0, 1e7, 1, roof)).toEqual({ share: 1, bound: "memory" });
  });

  test("regret is the geometric mean of best over chosen", () => {
    expect(geometricMean([1, 4])).toBeCloseTo(2, 12);
    const regret = regretOf([
      { problem: "a", bestMs: 1, chosenMs: 1 },
      { problem: "b", bestMs: 1, chosenMs: 4 },
      { problem: "c", bestMs: 2, chosenMs: 1.9 }, // measured as the faster of the two: no bonus
    ]);
    expect(regret.quality).toBeCloseTo(0.25 ** (1 / 3), 12);
    expect(regret.nearBest).toBeCloseTo(2 / 3, 12);
    expect(regret.worst.map(({ problem }) => problem)).toEqual(["b", "a", "c"]);
  });
});

describe("problems", () => {
  test("all fit their operators", () => {
    for (const problem of problems) expect(typesOf(problem).outputs.length).toBeGreaterThan(0);
    expect(new Set(problems.map(({ family, name }) => `${family} ${name}`)).size).toBe(problems.length);
  });

  test.each(regretFamilies)("regret of %s: forty shapes, the same every time", (family) => {
    const shapes = regretProblems(family, 40, true);
    expect(shapes).toEqual(regretProblems(family, 40, true));
    expect(new Set(shapes.map(({ name }) => name)).size).toBeGreaterThan(35);
    for (const problem of shapes) expect(typesOf(problem).outputs[0]!.shape).not.toContain(0);
    const extents = shapes.flatMap(({ inputs }) => inputs.flatMap((shape) => shape ?? []));
    expect(extents.some((extent) => extent % 4 !== 0)).toBe(true);
  });

  test("a shape is operands, then attributes", () => {
    const product = parseShape("matmul", "64x400,120x400;transB=1");
    expect(product.inputs).toEqual([
      [64, 400],
      [120, 400],
    ]);
    expect(typesOf(product).outputs[0]!.shape).toEqual([64, 120]);
    const conv = parseShape("conv", "1x64x56x56,64x64x3x3;pads=1x1x1x1");
    expect(conv.attributes).toEqual({ pads: [1, 1, 1, 1] });
    expect(conv.constants).toEqual([1, 2]);
    expect(typesOf(parseShape("ReduceMax", "8x100;axes=1")).outputs[0]!.shape).toEqual([8, 1]);
  });

  test("what is no shape is told so", () => {
    expect(() => parseShape("matmul", "64xx3,3x4")).toThrow("nothing is no number; write 512x512");
    expect(() => parseShape("matmul", "64x3,3x4;transC=1")).toThrow("MatMul has no attribute transC; it has");
    expect(() => parseShape("matmull", "1")).toThrow("no operator is called matmull");
  });
});

const line = (strategy: string, medianMs: number, more: Partial<Line> = {}): Line => ({
  strategy,
  parameters: "",
  isChosen: false,
  dispatches: 1,
  trafficBytes: 0,
  timing: { medianMs, spread: 0, samples: 3 },
  ...more,
});

describe("results", () => {
  const roof = { gflops: 100, gigabytesPerSecond: 10 };

  test("the fastest first, those without a time last", () => {
    const { timing: _, ...failed } = line("broken", 0, { failure: "no" });
    expect(ranked([failed, line("slow", 2), line("fast", 1)]).map(({ strategy }) => strategy)).toEqual([
      "fast",
      "slow",
      "broken",
    ]);
  });

  test("a problem's table tells rate, share, choice and error", () => {
    const lines = [line("naive", 20, { errorOverBound: 0.5, error: 1e-7 }), line("tiled", 10, { isChosen: true })];
    const text = formatProblem({ family: "f", operator: "MatMul", name: "n", flops: 5e8, bytes: 1e6, lines }, roof);
    expect(text).toMatch(/\* tiled +10\.0 +±0 % +50\.0 +0\.100 +50 % arithmetic/);
    expect(text).toMatch(/ {2}naive +20\.0 .*25 % arithmetic +1e-7 +0\.500 of bound/);
  });

  test("a wrong result says so", () => {
    const text = formatProblem(
      {
        family: "f",
        operator: "MatMul",
        name: "n",
        flops: 1,
        bytes: 1,
        lines: [line("a", 1, { failure: "element 3" })],
      },
      roof,
    );
    expect(text).toContain("WRONG: element 3");
    expect(bars([{ label: "<a>", value: 1, text: "1", isChosen: true, isWrong: true }], "t")).toContain(
      '<li class="wrong"><span class="label">&lt;a&gt;</span>',
    );
  });

  test("the report needs no other file and makes names safe", () => {
    const lines = [line("naive", 4), line("tiled", 1, { isChosen: true, parameters: "tile=8" }), line("tiled", 2)];
    const results: BenchResults = {
      format: "neurite-bench",
      version: 1,
      date: "2026-01-01",
      host: "Node",
      adapter: { name: "GPU <1>", vendor: "", architecture: "", isSoftware: false, features: [] },
      ceilings: {
        ...{ gflops: 10, vectorGflops: 20, loadsPerNs: 1, gigabytesPerSecond: 5, bufferCopyGigabytesPerSecond: 6 },
        ...{ barrierNs: 1, invocationNs: 1, dispatchNs: 1000, submitNs: 5000 },
      },
      problems: [{ family: "matmul", operator: "MatMul", name: "2×2 & 3", flops: 1e6, bytes: 1e5, lines }],
    };
    expect(parseResults(JSON.stringify(results))).toEqual(results);
    const html = htmlReport(results);
    expect(html).toContain("<h1>Kernels on GPU &lt;1&gt;</h1>");
    expect(html).toContain("<h3>2×2 &amp; 3</h3>");
    expect(html).toContain("multiply-adds on eight vec4 accumulators</dt><dd>20.0 GFLOP/s");
    expect(html).toContain("tiled tile=8</span>");
    expect(html.match(/class="best"/g)).toHaveLength(1); // of two strategies on one problem
    expect(html).not.toMatch(/<script|\bsrc=|url\(|https?:/);
  });

  test("errors are held against their bounds", () => {
    const expected = [{ values: Float64Array.of(1, 2), bounds: Float64Array.of(0.5, 0.5) }];
    expect(checkOf([[1, 2.25]], expected)).toEqual({ error: 0.125, errorOverBound: 0.5 });
    expect(checkOf([[1, 3]], expected)).toEqual({
      error: 0.5,
      errorOverBound: 2,
      failure: "element 1 is 3 instead of 2",
    });
    expect(checkOf([[1, 3]], expected, 2).failure).toBeUndefined();
    expect(checkOf([[NaN, 2]], expected).failure).toContain("NaN instead of 1");
  });

  test("of a large matrix product some rows are compared", () => {
    const arena = arenaOf(parseShape("matmul", "100x12,5x12;transB=1"));
    const [whole] = referenceOf(arena)!;
    const [some] = rowsOfProduct(arena)!;
    expect(some!.values).toHaveLength(16 * 5);
    expect(Array.from(some!.places!.subarray(0, 6))).toEqual([0, 1, 2, 3, 4, 30]);
    expect(some!.places!.at(-1)).toBe(499);
    expect(Array.from(some!.values)).toEqual(Array.from(some!.places!, (place) => whole!.values[place]!));
    const output = whole!.values.map(Math.fround);
    expect(checkOf([output], [some!])).toEqual({ error: 0, errorOverBound: 0 });
    output[30] = 9;
    expect(checkOf([output], [some!]).failure).toMatch(/^element 5 is 9 instead of/);
    expect(rowsOfProduct(arenaOf(parseShape("conv", "1x1x4x4,1x1x3x3")))).toBeUndefined();
  });

  test("only results of the bench are read", () => {
    expect(() => parseResults("{}")).toThrow("no results of the bench");
    expect(() => parseResults('{"format":"neurite-bench","version":0}')).toThrow("results of version 0");
  });

  test("regret against its bars", () => {
    const quality = (share: number) => ({ quality: share, problems: 40, nearBest: 0.5, worst: [] });
    const text = formatRegret({ matmul: { untuned: quality(0.81), tuned: quality(0.9) } });
    expect(text).toMatch(/matmul +untuned +81\.0 % +≥ 80 % +yes/);
    expect(text).toMatch(/matmul +tuned +90\.0 % +≥ 95 % +NO/);
  });

  test("the command line", () => {
    const options = parseCommandLine([
      "matmul",
      "--shape",
      "2x3,3x4",
      "--shape",
      "4x4,4x4",
      "--no-check",
      "--tune",
      "0",
    ]);
    expect(options).toMatchObject({ what: ["matmul"], shapes: ["2x3,3x4", "4x4,4x4"], check: false, tuneMs: 0 });
  });
});

describe("peers", () => {
  const cell = (timeMs: number, more: Partial<Cell> = {}): Cell => ({
    latencyMs: [timeMs],
    throughputMs: [timeMs],
    error: 1e-7,
    ...more,
  });
  const results = (rows: PeerResults["rows"], cold: PeerResults["cold"] = {}): PeerResults => ({
    date: "today",
    chromium: "1",
    rounds: 1,
    libraries: { neurite: {}, "jax-webgpu": {}, "ort-webgpu": {}, "raw-direct": {} },
    rows,
    cold,
  });

  test("the middle sample, or the mean of two", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1])).toBe(2.5);
  });

  test("the rival is the fastest WebGPU peer that is right and on the GPU", () => {
    const row = {
      neurite: cell(2),
      "jax-webgpu": cell(4),
      "ort-webgpu": cell(1, { error: 0.5 }),
      "ort-webgpu-nchw": cell(1, { note: "CPU:1" }),
      "tfjs-wasm": cell(1),
      "raw-direct": cell(1),
    };
    const [verdict] = verdicts(results({ W3: row }));
    expect(verdict).toMatchObject({ peer: { name: "jax-webgpu", timeMs: 4 }, ratio: 2, bar: 2, met: true });
  });

  test("matrix products have to be as fast as handwritten kernels, too", () => {
    const row = { neurite: cell(2), "jax-webgpu": cell(4), "raw-direct": cell(1.9) };
    expect(verdicts(results({ "W1.512": row }))[0]).toMatchObject({ ratio: 2, bar: 1.5, met: false });
    expect(verdicts(results({ W6: row }))[0]).toMatchObject({ ratio: 2, bar: undefined, met: undefined });
  });

  test("a cold page is judged by time and bytes", () => {
    const cold = (timeMs: number, gzipBytes: number) => ({ timeMs: [timeMs], loadMs: [1], bytes: 1, gzipBytes });
    const text = formatReport(
      results({}, { neurite: cold(100, 60_000), "jax-webgpu": cold(90, 170_000), "ort-webgpu": cold(900, 6_400_000) }),
    );
    expect(text).toContain("faster than every WebGPU peer: NO (0.90×)");
    expect(text).toContain("at most 1/40 of ONNX Runtime Web's bytes: yes");
  });

  test("data come from seeds, and references have the shape of results", () => {
    const one = workload("W8.b1");
    expect(dataOf(one)["x"]).toEqual(dataOf(one)["x"]);
    expect(one.reference!(dataOf(one))).toHaveLength(10);
    const losses = workload("W11").reference!(dataOf(workload("W11")));
    expect(losses[4]!).toBeLessThan(losses[0]!); // training trains
    expect(() => workload("W99")).toThrow("no workload W99; there are W0.fma");
  });

  test("every workload but training and the device's own has a model that reads back", () => {
    for (const { id, isCeiling } of workloads) {
      if (isCeiling || id === "W1.1024" || id === "W11") continue;
      const { graph } = decodeModel(onnxModel(id)!);
      expect(graph.outputs.map(({ name }) => name)).toEqual(["y"]);
      expect(graph.nodes.length).toBeGreaterThan(0);
    }
    expect(onnxModel("W11")).toBeUndefined();
  });
});
