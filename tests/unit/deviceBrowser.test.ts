// src/device in a real page and in a dedicated worker: built with Vite as a user would, served from localhost, and run in
// a headless Chromium. Also proof that a page's bundle holds nothing of Node.

import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Browser } from "puppeteer-core";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../harness/chromium.ts";
import { serve, type StaticServer } from "../harness/serve.ts";

const acquirePath = path.resolve(import.meta.dirname, "../../src/device/acquire.ts");

/** Doubles 64 numbers on the GPU; runs in the page and in the worker. */
const job = `
  import { acquireGpu } from ${JSON.stringify(acquirePath)};
  export async function job() {
    const gpu = await acquireGpu({ log: () => {} });
    const wgsl = \`
      @group(0) @binding(0) var<storage, read> x: array<f32>;
      @group(0) @binding(1) var<storage, read_write> y: array<f32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = 2 * x[id.x]; }\`;
    const double = await gpu.pipeline(wgsl, "double", { storage: ["read", "read_write"], uniform: false });
    const x = gpu.createBuffer(256, "storage", "x");
    const y = gpu.createBuffer(256, "storage", "y");
    gpu.write(x, Float32Array.from({ length: 64 }, (_, i) => i));
    const group = gpu.bindGroup(double, 0, [{ binding: 0, buffer: x }, { binding: 1, buffer: y }], "double");
    await gpu.scope("#1 double", () => gpu.submit("double", (encoder) => {
      const pass = encoder.beginComputePass();
      pass.setPipeline(double.pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(1);
      pass.end();
    }));
    const [bytes] = await gpu.read([{ buffer: y, sizeBytes: 256 }]);
    const broken = await gpu.pipeline("fn main() { oops }", "broken", { storage: [], uniform: false }).catch((error) => error);
    const result = { last: new Float32Array(bytes)[63], software: gpu.adapter.isSoftware, broken: broken.message };
    gpu.dispose();
    return result;
  }`;

interface Result {
  last: number;
  software: boolean;
  broken: string;
}

let folder: string;
let server: StaticServer | undefined;
let browser: Browser | undefined;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "neurite-page-"));
  await writeFile(path.join(folder, "job.js"), job);
  await writeFile(
    path.join(folder, "worker.js"),
    `import { job } from "./job.js"; job().then(postMessage, (e) => postMessage(e));`,
  );
  await writeFile(
    path.join(folder, "page.js"),
    `import { job } from "./job.js";
     globalThis.inPage = job;
     globalThis.inWorker = () => new Promise((resolve, reject) => {
       const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
       worker.onmessage = (event) => event.data instanceof Error ? reject(event.data) : resolve(event.data);
       worker.onerror = reject;
     });`,
  );
  await writeFile(path.join(folder, "index.html"), `<!doctype html><script type="module" src="/page.js"></script>`);
  await build({
    root: folder,
    configFile: false,
    logLevel: "error",
    build: { target: "es2022" },
    worker: { format: "es" },
  });
  server = await serve({ root: path.join(folder, "dist") });
  browser = await launchChromium();
}, 120_000);

afterAll(async () => {
  await browser?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

test.each(["inPage", "inWorker"])(
  "a kernel runs and a bad one is explained, %s",
  async (where) => {
    const page = await browser!.newPage();
    const failures: string[] = [];
    page.on("pageerror", (error) => failures.push(String(error)));
    await page.goto(server!.origin);
    const result = (await page.evaluate(`globalThis.${where}()`)) as Result;
    expect(result.last).toBe(126);
    expect(result.software).toBe(true);
    expect(result.broken).toMatch(/WGSL of broken does not compile[^]*line 1/);
    expect(failures).toEqual([]);
    await page.close();
  },
  60_000,
);

test("a page's bundle loads nothing of Node", async () => {
  const assets = path.join(folder, "dist", "assets");
  const entry = (await readdir(assets)).filter((name) => !/^(node|softwareDriver|unpack)-/.test(name));
  for (const name of entry)
    expect(await readFile(path.join(assets, name), "utf8")).not.toMatch(/node:|libvulkan|sparticuz/);
});
