// Tuning in a page: what one visit measures, the next one finds in IndexedDB.

import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Browser, Page } from "puppeteer-core";
import { createServer, type ViteDevServer } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TuningData } from "../../src/scheduler/tuning.ts";
import { launchChromium } from "../harness/chromium.ts";

const root = path.resolve(import.meta.dirname, "../..");
const folder = path.join(root, "tests/browser/out/tuning");

const main = `
  import { createEngine } from "neurite";
  const compile = (engine) => engine.compile((a, b) => a.matmul(b), { a: [24, 40], b: [40, 20] });

  window.firstVisit = async () => {
    using engine = await createEngine({ log: () => {} });
    using model = await compile(engine);
    const report = await engine.tune(model, { budgetMs: 20_000 });
    return { tuned: report.problems.length, strategy: model.plan.steps[0].strategy, table: await engine.exportTuning() };
  };
  window.secondVisit = async () => {
    using engine = await createEngine({ log: () => {}, tuning: true });
    using model = await compile(engine);
    return { strategy: model.plan.steps[0].strategy, table: await engine.exportTuning() };
  };`;

interface Visit {
  readonly tuned?: number;
  readonly strategy: string;
  readonly table: TuningData;
}

let server: ViteDevServer;
let browser: Browser;

beforeAll(async () => {
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, "main.js"), main);
  await writeFile(path.join(folder, "index.html"), '<!doctype html><script type="module" src="./main.js"></script>');
  server = await createServer({
    root,
    configFile: false,
    logLevel: "error",
    resolve: { alias: { neurite: path.join(root, "src/index.ts") } },
    server: { host: "127.0.0.1", port: 0, hmr: false, watch: null },
  });
  await server.listen();
  browser = await launchChromium();
}, 120_000);

afterAll(async () => {
  await browser.close();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

async function visit(call: string): Promise<Visit> {
  const page: Page = await browser.newPage();
  try {
    await page.goto(`${server.resolvedUrls!.local[0]!}tests/browser/out/tuning/index.html`);
    await page.waitForFunction("window.secondVisit", { timeout: 60_000 });
    return (await page.evaluate(`${call}()`)) as Visit;
  } finally {
    await page.close();
  }
}

test("is found again by the next visit", { timeout: 300_000 }, async () => {
  const first = await visit("firstVisit");
  expect(first.tuned).toBe(1);
  const second = await visit("secondVisit");
  expect(second.strategy).toBe(first.strategy);
  expect(second.table).toEqual(first.table);
});
