// What a page pays for Neurite, in gzipped bytes (level 9), against two budgets. The inference page is built by Vite, opened
// in Chromium and made to compute: every script it really requested counts, kernels included. "Everything but formats"
// counts every chunk of the build that a page could request; no page requests them all, since strategies, rewrites and the
// tuner come only where they are used. It was held to 120 kB before operators had rival strategies and could be tuned. The
// inference page is meant to cost 60 kB; rewrites, prologues and packed storage brought it to 63.9, and it must not grow.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type Rolldown } from "vite";
import { slim } from "../../config/slim.ts";
import { launchChromium } from "../../tests/harness/chromium.ts";
import { serve } from "../../tests/harness/serve.ts";

const KB = 1000;
const root = join(import.meta.dirname, "../..");
const nodeOnly = /getBuiltinModule\(|from ?["']node:/; // code that no page runs

const outDir = await mkdtemp(join(tmpdir(), "neurite-size-"));
try {
  const inference = await bundle("inference.ts");
  const within = [report("inference page", 64 * KB, await requested(inference))];
  const everything = await bundle("everything.ts", [/[\\/]src[\\/]formats[\\/]/]);
  within.push(report("everything but formats", 180 * KB, requestable(everything)));
  if (within.includes(false)) process.exitCode = 1;
} finally {
  await rm(outDir, { recursive: true, force: true });
}

/** Builds one entry as a page's bundler would, into `outDir`. Modules that match `without` are left out. */
async function bundle(entry: string, without: RegExp[] = []): Promise<Rolldown.OutputChunk[]> {
  const output = await build({
    root,
    configFile: false,
    logLevel: "error",
    plugins: [slim()],
    resolve: { alias: { neurite: join(root, "src/index.ts") } },
    build: {
      outDir,
      emptyOutDir: true,
      target: "es2022",
      modulePreload: { polyfill: false }, // every browser with WebGPU preloads modules
      rolldownOptions: {
        input: join(root, "bench/size", entry),
        external: without,
        output: { entryFileNames: "entry.js" },
      },
    },
  });
  if (!("output" in output)) throw new Error("one build was asked of Vite, and it gave something else");
  return output.output.filter((file) => file.type === "chunk");
}

/** The chunks that a page requests until its network has computed, as Chromium tells them. */
async function requested(chunks: readonly Rolldown.OutputChunk[]): Promise<Rolldown.OutputChunk[]> {
  const html = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/entry.js"></script>';
  await using server = await serve({ root: outDir, pages: { "/": html } });
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    const loaded = new Set<string>();
    const failure = new Promise<never>((_, reject) => {
      page.on("pageerror", (error) => {
        reject(error instanceof Error ? error : new Error(String(error)));
      });
      page.on("requestfailed", (request) => {
        reject(new Error(`${request.url()} did not load`));
      });
    });
    page.on("request", (request) => loaded.add(new URL(request.url()).pathname.slice(1)));
    const computed = async (): Promise<unknown> => {
      await page.goto(`${server.origin}/`);
      await page.waitForFunction("globalThis.neuriteScores", { timeout: 120_000 });
      return page.evaluate("neuriteScores.length === 10 && neuriteScores.every(Number.isFinite)");
    };
    if ((await Promise.race([computed(), failure])) !== true) throw new Error("the inference page gave no ten numbers");
    return chunks.filter(({ fileName }) => loaded.has(fileName));
  } finally {
    await browser.close();
  }
}

/** The chunks that some page could request: all but those that only Node loads, which lie behind dynamic imports. */
function requestable(chunks: readonly Rolldown.OutputChunk[]): Rolldown.OutputChunk[] {
  const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]));
  const reached = new Set<Rolldown.OutputChunk>();
  const visit = (name: string, dynamic: boolean): void => {
    const chunk = byName.get(name);
    if (chunk === undefined || reached.has(chunk) || (dynamic && nodeOnly.test(chunk.code))) return;
    reached.add(chunk);
    for (const next of chunk.imports) visit(next, false);
    for (const next of chunk.dynamicImports) visit(next, true);
  };
  visit("entry.js", false);
  return [...reached];
}

/** Prints what each chunk weighs and their sum; true if it is within the budget. */
function report(title: string, budgetBytes: number, chunks: readonly Rolldown.OutputChunk[]): boolean {
  const weights = chunks.map((chunk) => ({ name: chunk.name, bytes: gzipSync(chunk.code, { level: 9 }).length }));
  const sumBytes = weights.reduce((sum, { bytes }) => sum + bytes, 0);
  const line = (name: string, bytes: number): string => `${name.padEnd(28)}${(bytes / KB).toFixed(1).padStart(7)} kB`;
  const verdict = sumBytes <= budgetBytes ? "within" : "OVER";
  console.log(`${line(title, sumBytes)}   ${verdict} its ${budgetBytes / KB} kB, gzipped, in ${chunks.length} chunks`);
  for (const { name, bytes } of weights.sort((a, b) => b.bytes - a.bytes)) console.log(line(`  ${name}`, bytes));
  return sumBytes <= budgetBytes && sumBytes > 0;
}
