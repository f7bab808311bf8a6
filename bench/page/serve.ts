// Builds the bench's page, serves it from localhost, and runs it: in Chromium, its results as in Node, or in whatever
// browser is pointed at it.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { nodeOnly } from "../../vite.config.ts";
import { launchChromium } from "../../tests/harness/chromium.ts";
import { serve } from "../../tests/harness/serve.ts";
import type { BenchOptions } from "../kernels/bench.ts";
import type { BenchResults } from "../kernels/results.ts";

const PATIENCE_MS = 3_600_000;
const HTML = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Bench</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width"><body><script type="module" src="/entry.js"></script></html>`;

async function withPage<T>(use: (origin: string) => Promise<T>): Promise<T> {
  const outDir = await mkdtemp(join(tmpdir(), "neurite-bench-"));
  try {
    await build({
      root: join(import.meta.dirname, "../.."),
      configFile: false,
      logLevel: "error",
      build: {
        outDir,
        target: "es2022",
        rolldownOptions: {
          input: join(import.meta.dirname, "page.ts"),
          external: nodeOnly,
          output: { entryFileNames: "entry.js" },
        },
      },
    });
    await using server = await serve({ root: outDir, pages: { "/": HTML } });
    return await use(server.origin);
  } finally {
    await rm(outDir, { recursive: true, force: true });
  }
}

/** On the software adapter, or with CHROMIUM_GPU=1 on the machine's GPU. */
export function benchInChromium(options: BenchOptions): Promise<BenchResults> {
  return withPage(async (origin) => {
    const args = ["--disable-dawn-features=timestamp_quantization"]; // timestamps as the GPU gives them
    const browser = await launchChromium({ protocolTimeout: PATIENCE_MS, args });
    try {
      const page = await browser.newPage();
      await page.goto(`${origin}/?quiet`);
      await page.waitForFunction("globalThis.bench", { timeout: 120_000 });
      return (await page.evaluate(`bench(${JSON.stringify(options)})`)) as BenchResults;
    } finally {
      await browser.close();
    }
  });
}

/** Until the process is told to end. */
export async function serveBench(what: readonly string[]): Promise<never> {
  await withPage(async (origin) => {
    console.log(`open ${origin}/?what=${what.join(",")} in a browser with WebGPU; Ctrl-C ends this`);
    await new Promise((resolve) => {
      for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, resolve);
    });
  });
  process.exit();
}
