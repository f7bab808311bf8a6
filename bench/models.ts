// Whole ONNX models beside ONNX Runtime Web's WebGPU provider, in one Chromium: a page for each library, runs interleaved,
// medians. A run is inputs from the host, all outputs back on the host. Cold is from navigation to the first result, in a
// browser of its own. ONNX Runtime is not a dependency: install onnxruntime-web anywhere and name its dist folder.
//
//   npm run bench:models -- --models ../shared/conformance/models --ort ~/ort/node_modules/onnxruntime-web/dist \
//     [--only ultraface,dtln_1] [--rounds 15] [--cold 3] [--json FILE]
//
// --rounds 0 measures cold starts only.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import type { Browser, Page } from "puppeteer-core";
import { build } from "vite";
import { decodeModel, decodeTensor } from "../src/formats/onnx/decode.ts";
import { formatTable } from "../src/scheduler/plan.ts";
import { launchChromium } from "../tests/harness/chromium.ts";
import { serve, type StaticServer } from "../tests/harness/serve.ts";

const DEFAULT_MODELS = "ultraface_rfb320,fastestdet,ppocr_v4_det,dtln_1,gtcrn_simple,silero_vad_16k_op15";
const { values: options } = parseArgs({
  options: {
    models: { type: "string" },
    ort: { type: "string" },
    only: { type: "string", default: DEFAULT_MODELS },
    rounds: { type: "string", default: "15" },
    cold: { type: "string", default: "3" },
    json: { type: "string" },
  },
});
if (!options.models) {
  console.error("bench:models: --models FOLDER is missing, a set in ONNX's backend-test form");
  process.exit(2);
}

const root = join(import.meta.dirname, "..");
const libraries = options.ort ? ["neurite", "ort"] : ["neurite"];
type Row = { readonly model: string } & Record<string, number | string>;

const outDir = await mkdtemp(join(tmpdir(), "neurite-models-"));
const rows: Row[] = [];
try {
  await build({
    root,
    configFile: false,
    logLevel: "error",
    resolve: { alias: { neurite: join(root, "src/index.ts") } },
    build: {
      outDir,
      target: "es2022",
      rolldownOptions: { input: join(root, "bench/models/page.ts"), output: { entryFileNames: "entry.js" } },
    },
  });
  for (const name of options.only.split(",")) {
    const row = await measure(join(options.models, name));
    rows.push(row);
    console.log(JSON.stringify(row));
  }
} finally {
  await rm(outDir, { recursive: true, force: true });
}
const columns = [
  "model",
  "neurite ms",
  "ort ms",
  "ratio",
  "neurite cold ms",
  "ort cold ms",
  "cold ratio",
  "difference",
];
console.log(formatTable(columns, rows.map((row) => columns.map((column) => show(row[column]))))); // prettier-ignore
if (options.json) await writeFile(options.json, `${JSON.stringify(rows, null, 2)}\n`);

async function measure(folder: string): Promise<Row> {
  await using server = await serveModel(folder);
  const { times: cold, outputs } = await coldStarts(server);
  const warm = Number(options.rounds) > 0 ? await runs(server) : undefined;
  return {
    model: basename(folder),
    ...(warm && { "neurite ms": warm["neurite"]! }),
    "neurite cold ms": cold["neurite"]!,
    ...(warm?.["ort"] && { "ort ms": warm["ort"], ratio: warm["ort"] / warm["neurite"]! }),
    ...(cold["ort"] && {
      "ort cold ms": cold["ort"],
      "cold ratio": cold["ort"] / cold["neurite"]!,
      difference: difference(outputs["neurite"]!, outputs["ort"]!),
    }),
  };
}

/** Libraries take turns, the other one first in every second round. */
const inTurn = (round: number): readonly string[] => (round % 2 === 0 ? libraries : libraries.toReversed());
const medians = (times: Readonly<Record<string, readonly number[]>>): Record<string, number> =>
  Object.fromEntries(Object.entries(times).map(([library, each]) => [library, median(each)]));

/** Milliseconds from navigation to the first result, each time in a new browser, and what came out. */
async function coldStarts(server: StaticServer) {
  const times: Record<string, number[]> = Object.fromEntries(libraries.map((library) => [library, []]));
  const outputs: Record<string, Record<string, number[]>> = {};
  for (let round = 0; round < Math.max(1, Number(options.cold)); round++)
    for (const library of inTurn(round)) {
      const browser = await launchChromium();
      try {
        const page = await openPage(browser, server, library);
        times[library]!.push((await page.evaluate("bench.coldMs")) as number);
        outputs[library] = (await page.evaluate("bench.outputs")) as Record<string, number[]>;
      } finally {
        await browser.close();
      }
    }
  return { times: medians(times), outputs };
}

/** Milliseconds a run. */
async function runs(server: StaticServer): Promise<Record<string, number>> {
  const times: Record<string, number[]> = Object.fromEntries(libraries.map((library) => [library, []]));
  const browser = await launchChromium();
  try {
    const pages = new Map<string, Page>();
    for (const library of libraries) pages.set(library, await openPage(browser, server, library));
    for (let round = -2; round < Number(options.rounds); round++)
      for (const library of inTurn(round)) {
        const page = pages.get(library)!;
        await page.bringToFront();
        const timeMs = (await page.evaluate("bench.run()")) as number;
        if (round >= 0) times[library]!.push(timeMs);
      }
  } finally {
    await browser.close();
  }
  return medians(times);
}

async function openPage(browser: Browser, { origin }: StaticServer, library: string): Promise<Page> {
  const page = await browser.newPage();
  const failure = new Promise<never>((_, reject) => {
    page.on("pageerror", (error) => {
      reject(error instanceof Error ? error : new Error(String(error)));
    });
  });
  const ready = async (): Promise<Page> => {
    await page.goto(`${origin}/?library=${library}`);
    await page.waitForFunction("globalThis.bench", { timeout: 300_000 });
    return page;
  };
  return Promise.race([ready(), failure]);
}

/** Serves the page, the model, the first data set's inputs and ONNX Runtime's files. */
async function serveModel(folder: string): Promise<StaticServer> {
  const model = new Uint8Array(await readFile(join(folder, "model.onnx")));
  const { graph } = decodeModel(model);
  const fed = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  const inputs = await Promise.all(
    fed.map(async ({ name }, i) => {
      const file = await readFile(join(folder, "test_data_set_0", `input_${i}.pb`));
      const { dtype, shape, bytes } = decodeTensor(new Uint8Array(file));
      return [name, { dtype, shape, text: Buffer.from(bytes).toString("base64") }] as const;
    }),
  );
  return serve({
    root: outDir,
    pages: {
      "/": '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/entry.js"></script>',
      "/inputs.json": JSON.stringify(Object.fromEntries(inputs)),
    },
    files: { "/model.onnx": join(folder, "model.onnx") },
    ...(options.ort && { folders: { "/ort/": options.ort } }),
  });
}

/** Largest difference of any output, as a share of that output's largest value. */
function difference(a: Record<string, number[]>, b: Record<string, number[]>): number {
  return Math.max(
    ...Object.entries(a).map(([name, values]) => {
      const others = b[name] ?? [];
      const largest = Math.max(...values.map(Math.abs), 1e-30);
      return Math.max(...values.map((value, i) => Math.abs(value - (others[i] ?? NaN)))) / largest;
    }),
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function show(value: number | string | undefined): string {
  if (typeof value !== "number") return value ?? "–";
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
