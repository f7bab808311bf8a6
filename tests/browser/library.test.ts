// The library as an application has it: imported through Vite, in a page and in a module worker. A small convolutional
// network gives on WebGPU what it gives on the CPU reference, verifies itself, and learns.

import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Browser, Page } from "puppeteer-core";
import { createServer, type ViteDevServer } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../harness/chromium.ts";

const root = path.resolve(import.meta.dirname, "../..");

interface Result {
  readonly adapter: string;
  readonly largestDifference: number;
  readonly probabilitySum: number;
  readonly verified: boolean;
  readonly firstLoss: number;
  readonly lastLoss: number;
  readonly shapeError: string;
}

const job = `
  import { Conv2d, Flatten, Linear, MaxPool2d, Random, ReLU, Trainer, adamW, arrayDataset, createEngine, crossEntropy,
           initialize, sequential, softmax } from "neurite";

  const network = () => {
    const net = sequential(new Conv2d(1, 4, 3, { padding: 1 }), new ReLU(), new MaxPool2d(2), new Flatten(), new Linear(4 * 4 * 4, 3));
    initialize(net, 7);
    return net;
  };
  const random = new Random(3);
  const x = Float32Array.from({ length: 6 * 64 }, () => random.uniform());

  async function run(engine) {
    const net = network();
    const model = await engine.compile((x) => softmax(net.forward(x)), { x: [6, 1, 8, 8] });
    const { y } = await model.run({ x });
    return { y: y.data, report: await model.verify({ x }) };
  }

  export async function job() {
    using gpu = await createEngine({ log: () => {} });
    using cpu = await createEngine({ backend: "cpu" });
    const [onGpu, onCpu] = [await run(gpu), await run(cpu)];
    const differences = Array.from(onGpu.y, (value, i) => Math.abs(value - onCpu.y[i]));

    const dataset = arrayDataset({ x, xShape: [1, 8, 8], y: Uint32Array.of(0, 1, 2, 0, 1, 2) });
    using trainer = new Trainer(gpu, network(), { loss: crossEntropy(), optimizer: adamW({ lr: 0.02 }), seed: 1 });
    const losses = [];
    for await (const event of trainer.fit(dataset, { epochs: 12, batchSize: 6 }))
      if (event.type === "step") losses.push(event.loss);

    const shapeError = await gpu.compile((a, b) => a.matmul(b), { a: [2, 3], b: [4, 5] }).catch((error) => error);
    return {
      adapter: gpu.adapter.name,
      largestDifference: Math.max(...differences),
      probabilitySum: onGpu.y.slice(0, 3).reduce((sum, value) => sum + value, 0),
      verified: onGpu.report.passed,
      firstLoss: losses[0],
      lastLoss: losses.at(-1),
      shapeError: shapeError.name + ": " + shapeError.message,
    };
  }`;

const worker = `
  import { job } from "./job.js";
  job().then((result) => postMessage({ result }), (error) => postMessage({ error: String(error.stack) }));`;

const main = `
  import { job } from "./job.js";
  window.inPage = job;
  window.inWorker = () => new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => ("result" in data ? resolve(data.result) : reject(new Error(data.error)));
    worker.onerror = (event) => reject(new Error(event.message));
  });`;

// Beside the sources, as an application's would be; nothing of it is kept.
const folder = path.join(root, "tests/browser/out/library");
let server: ViteDevServer;
let browser: Browser;

beforeAll(async () => {
  await mkdir(folder, { recursive: true });
  const files = { "job.js": job, "worker.js": worker, "main.js": main };
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text);
  await writeFile(path.join(folder, "index.html"), `<!doctype html><script type="module" src="./main.js"></script>`);
  server = await createServer({
    configFile: path.join(root, "vite.config.ts"),
    mode: "demos",
    root: folder,
    logLevel: "error",
    server: { host: "localhost", port: 0, hmr: false, watch: null },
  });
  await server.listen();
  browser = await launchChromium();
});

afterAll(async () => {
  await browser.close();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(complaints: string[]): Promise<Page> {
  const page = await browser.newPage();
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  await page.goto(server.resolvedUrls!.local[0]!);
  await page.waitForFunction("window.inWorker !== undefined");
  return page;
}

test.each(["inPage", "inWorker"])("runs, verifies and trains on WebGPU as on the CPU, %s", async (where) => {
  const complaints: string[] = [];
  const page = await open(complaints);
  const result = (await page.evaluate(`window.${where}()`)) as Result;
  expect(result.adapter).not.toBe("");
  expect(result.largestDifference).toBeLessThan(1e-5);
  expect(result.probabilitySum).toBeCloseTo(1, 5);
  expect(result.verified).toBe(true);
  expect(result.lastLoss).toBeLessThan(0.7 * result.firstLoss);
  expect(result.shapeError).toMatch(/^ShapeError: .*\[2, 3\].*\[4, 5\]/);
  expect(complaints.filter((text) => !/favicon|404/.test(text))).toEqual([]);
  await page.close();
});
