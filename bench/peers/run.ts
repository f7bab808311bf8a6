// Neurite beside ONNX Runtime Web, TensorFlow.js and jax-js on WebGPU, on the same data in one Chromium:
//
//     npm run bench:peers -- [--only W1,W10.softmax,W13] [--libs neurite,jax-webgpu | all] [--rounds 7] [--json FILE]
//
// A browser process for each library; all stay open, and samples are taken in turn, in a rotating order, so that drift hits
// all alike. Throughput is K runs issued back to back and one readback, divided by K (K fills the budget, 2 … 50; 1 where a
// run takes over a second); latency is one run and its readback. Every library's first result is compared with a float64
// reference. Ratios are against the fastest WebGPU peer that was right. W13 starts a fresh browser for each sample.
//
// The libraries are pinned in package.json beside this file and are installed when first asked for.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import type { Browser, Page } from "puppeteer-core";
import { build } from "vite";
import { slim } from "../../config/slim.ts";
import { launchChromium } from "../../tests/harness/chromium.ts";
import { libraries, usual } from "./libraries.ts";
import type { ColdReport, PeerPage } from "./page.ts";
import { formatReport, type Cell, type Cold, type PeerResults } from "./report.ts";
import { pageQuery, servePeers } from "./server.ts";
import { workloads } from "./workloads.ts";

const SLOW_MS = 1500; // rows this slow get three samples
const SLOW_ROUNDS = 3;
const PATIENCE_MS = 300_000;

const count = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("expected a whole number above 0");
  return value;
};
const list = (text: string): string[] => text.split(",").filter(Boolean);

interface Options {
  readonly only?: readonly string[];
  readonly libs?: readonly string[];
  readonly rounds: number;
  readonly warmup: number;
  readonly budgetMs: number;
  readonly coldRounds: number;
  readonly json?: string;
  readonly from?: string;
  readonly verbose?: boolean;
}

const options = new Command("bench:peers")
  .description("Neurite beside other libraries on WebGPU, in one Chromium.")
  .option("--only <rows>", "rows or families: W1, W10.softmax, W13 …", list)
  .option("--libs <names>", `columns, or "all" (default: ${usual.join(",")})`, list)
  .option("--rounds <n>", "samples of each", count, 7)
  .option("--warmup <n>", "runs before the first sample", count, 2)
  .option("--budget-ms <ms>", "time for one back-to-back series", count, 150)
  .option("--cold-rounds <n>", "samples of W13", count, 5)
  .option("--json <file>", "keep all samples here")
  .option("--from <file>", "print a kept run again")
  .option("--verbose", "what the pages say")
  .parse()
  .opts<Options>();

if (options.from !== undefined)
  console.log(formatReport(JSON.parse(await readFile(options.from, "utf8")) as PeerResults));
else await measure();

async function measure(): Promise<void> {
  const names = chosenLibraries();
  const isWanted = (id: string): boolean =>
    options.only?.some((wanted) => id === wanted || id.startsWith(`${wanted}.`)) ?? true;
  const ids = workloads.map(({ id }) => id).filter(isWanted);
  if (ids.length === 0 && !isWanted("W13"))
    throw new Error(
      `no row is called ${options.only?.join()}; there are ${workloads.map(({ id }) => id).join(", ")}, W13`,
    );
  installPeers();

  const outDir = await mkdtemp(join(tmpdir(), "neurite-peers-"));
  try {
    await buildNeurite("entry.ts", outDir, "rows");
    await buildNeurite("cold.ts", outDir, "cold");
    await using server = await servePeers(outDir);
    const results: PeerResults = {
      date: new Date().toISOString().slice(0, 16),
      chromium: "",
      rounds: options.rounds,
      libraries: {},
      rows: {},
      cold: {},
    };
    if (ids.length > 0) await measureRows(results, server.origin, names, ids);
    if (isWanted("W13")) {
      const measured = names.filter((name) => libraries[name]!.kind !== "raw");
      for (let round = 0; round < options.coldRounds; round++)
        for (let i = 0; i < measured.length; i++) {
          const name = measured[(i + round) % measured.length]!;
          const cold = (results.cold[name] ??= { timeMs: [], loadMs: [] });
          if (cold.failure === undefined) await measureCold(cold, name, server);
        }
    }
    console.log(formatReport(results));
    if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(results, null, 1)}\n`);
  } finally {
    await rm(outDir, { recursive: true, force: true });
  }
}

function chosenLibraries(): string[] {
  const { libs = usual } = options;
  if (libs[0] === "all") return Object.keys(libraries);
  const unknown = libs.filter((name) => !(name in libraries));
  if (unknown.length > 0)
    throw new Error(`no library is called ${unknown.join(", ")}; there are ${Object.keys(libraries).join(", ")}`);
  return [...libs];
}

/** The pinned versions, without running anything of theirs. */
function installPeers(): void {
  if (existsSync(join(import.meta.dirname, "node_modules/.package-lock.json"))) return;
  console.error("bench:peers: installing the other libraries, some 470 MB, once");
  const install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  execFileSync("npm", install, { cwd: import.meta.dirname, stdio: "inherit", shell: process.platform === "win32" });
}

/** As a page's bundler would, with every kernel family in a chunk of its own. */
async function buildNeurite(entry: string, outDir: string, folder: string): Promise<void> {
  await build({
    root: join(import.meta.dirname, "../.."),
    configFile: false,
    logLevel: "error",
    plugins: [slim()],
    base: `/neurite/${folder}/`,
    build: {
      outDir: join(outDir, folder),
      target: "es2022",
      modulePreload: { polyfill: false },
      rolldownOptions: {
        input: join(import.meta.dirname, entry),
        preserveEntrySignatures: "strict",
        output: { entryFileNames: "entry.js" },
      },
    },
  });
}

interface Opened {
  readonly browser: Browser;
  readonly page: Page;
}

async function open(origin: string, name: string, cold = false): Promise<Opened> {
  const browser = await launchChromium({ protocolTimeout: PATIENCE_MS });
  const page = await browser.newPage();
  const say = (text: string): void => {
    if (options.verbose) console.error(`  [${name}] ${text.slice(0, 300)}`);
  };
  page.on("console", (message) => say(message.text()));
  page.on("pageerror", (error) => say(String(error)));
  await page.goto(origin + pageQuery(name, cold));
  await page.waitForFunction(`globalThis.${cold ? "cold" : "peerPage"}`, { timeout: PATIENCE_MS });
  return { browser, page };
}

/** Calls the page's side. */
function call<K extends keyof PeerPage>(
  page: Page,
  method: K,
  ...args: Parameters<PeerPage[K]>
): Promise<Awaited<ReturnType<PeerPage[K]>>> {
  const text = `peerPage.${method}(${args.map((arg) => JSON.stringify(arg)).join()})`;
  return page.evaluate(text) as Promise<Awaited<ReturnType<PeerPage[K]>>>;
}

async function measureRows(
  results: PeerResults,
  origin: string,
  names: readonly string[],
  ids: readonly string[],
): Promise<void> {
  const pages = new Map<string, Opened>();
  try {
    for (const name of names)
      try {
        const opened = await open(origin, name);
        pages.set(name, opened);
        results.libraries[name] = await call(opened.page, "load");
        Object.assign(results, { chromium: await opened.browser.version() });
      } catch (error) {
        results.libraries[name] = { failure: firstLine(error) };
        console.error(`${name}: ${firstLine(error)}`);
        await pages.get(name)?.browser.close();
        pages.delete(name);
      }
    for (const id of ids) {
      const row = (results.rows[id] = await measureRow(id, pages));
      const cells = Object.entries(row).map(([name, { failure, throughputMs }]) => {
        const sorted = throughputMs.toSorted((a, b) => a - b);
        return `${name} ${failure ?? sorted[sorted.length >> 1]?.toFixed(2)}`;
      });
      console.error(`${id.padEnd(14)} ${cells.join(" | ")}`);
    }
  } finally {
    for (const { browser } of pages.values()) await browser.close();
  }
}

async function measureRow(id: string, pages: ReadonlyMap<string, Opened>): Promise<Record<string, Cell>> {
  const row: Record<string, Cell> = {};
  const active: { readonly cell: Cell; readonly page: Page; readonly series: number; readonly warmMs: number }[] = [];
  for (const [name, { page }] of pages)
    try {
      const { warmup, budgetMs } = options;
      const { skip, error, note, series, warmMs } = await call(page, "prepare", id, { warmup, budgetMs });
      if (skip) continue;
      const cell: Cell = { latencyMs: [], throughputMs: [], error, note };
      row[name] = cell;
      active.push({ cell, page, series, warmMs });
    } catch (error) {
      row[name] = { latencyMs: [], throughputMs: [], failure: firstLine(error) };
    }
  for (let round = 0; round < options.rounds; round++)
    for (let i = 0; i < active.length; i++) {
      const { cell, page, series, warmMs } = active[(i + round) % active.length]!;
      if (cell.failure !== undefined || (warmMs > SLOW_MS && round >= SLOW_ROUNDS)) continue;
      try {
        const { latencyMs, throughputMs } = await call(page, "sample", series);
        cell.latencyMs.push(latencyMs);
        cell.throughputMs.push(throughputMs);
      } catch (error) {
        cell.failure = firstLine(error);
      }
    }
  for (const { page } of active) await call(page, "close").catch(() => undefined);
  return row;
}

async function measureCold(cold: Cold, name: string, server: Awaited<ReturnType<typeof servePeers>>): Promise<void> {
  server.forget();
  let opened: Opened | undefined;
  try {
    opened = await open(server.origin, name, true);
    const { timeMs, loadMs, failure } = (await opened.page.evaluate("cold")) as ColdReport;
    if (failure !== undefined || timeMs === undefined || loadMs === undefined) throw new Error(failure);
    cold.timeMs.push(timeMs);
    cold.loadMs.push(loadMs);
    const downloads = server.downloads();
    cold.bytes = downloads.reduce((sum, { bytes }) => sum + bytes, 0);
    cold.gzipBytes = downloads.reduce((sum, { gzipBytes }) => sum + gzipBytes, 0);
    if (options.verbose)
      for (const { path, gzipBytes } of downloads) console.error(`  [${name}] ${path} ${gzipBytes} B gzipped`);
  } catch (error) {
    cold.failure = firstLine(error);
    console.error(`W13 ${name}: ${cold.failure}`);
  } finally {
    await opened?.browser.close();
  }
}

function firstLine(error: unknown): string {
  if (options.verbose) console.error(error);
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!.slice(0, 200);
}
