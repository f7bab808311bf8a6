// The bench in a page, with the same code as in Node. Opened by hand (`npm run bench -- --serve` tells where) it measures
// what its address asks for, e.g. ?what=matmul,conv, and shows the report; with ?quiet it waits to be told (serve.ts).

import { acquireGpu } from "../../src/device/acquire.ts";
import { runBench, type BenchOptions } from "../kernels/bench.ts";
import { htmlReport } from "../kernels/html.ts";
import type { BenchResults } from "../kernels/results.ts";

const query = new URLSearchParams(location.search);

async function bench(options: BenchOptions, onProgress: (text: string) => void): Promise<BenchResults> {
  using gpu = await acquireGpu({ log: () => undefined });
  const name = /(Chrome|Firefox|Version)\/[\d.]+/.exec(navigator.userAgent)?.[0].replace("/", " ") ?? "a browser";
  return await runBench(gpu, options, { name, onProgress }); // before the device goes
}

function optionsOf(address: URLSearchParams): BenchOptions {
  const list = (key: string): string[] => address.get(key)?.split(",") ?? [];
  const number = (key: string, otherwise: number): number => Number(address.get(key) ?? otherwise);
  return {
    what: list("what"),
    shapes: address.getAll("shape"),
    strategies: list("strategy"),
    rounds: number("rounds", 7),
    check: !address.has("no-check"),
    regret: address.has("regret"),
    shapesEach: number("shapes-each", 40),
    tuneMs: number("tune", 60_000),
  };
}

if (query.has("quiet")) {
  Object.assign(globalThis, { bench: (options: BenchOptions) => bench(options, () => undefined) });
} else {
  const say = (text: string): void => {
    document.body.textContent = text;
  };
  try {
    document.documentElement.innerHTML = htmlReport(await bench(optionsOf(query), say));
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
}
