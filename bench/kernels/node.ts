// The bench in Node: what bench/kernels.ts and its bundle share. Files are written here, and nothing else is Node's.

import { readFile, writeFile } from "node:fs/promises";
import { acquireGpu } from "../../src/device/acquire.ts";
import { runBench } from "./bench.ts";
import type { CommandLine } from "./options.ts";
import { htmlReport } from "./html.ts";
import { parseResults, type BenchResults } from "./results.ts";
import { formatCeilings, formatHostCost, formatProblem, formatRegret } from "./text.ts";

/** Says on one line how far things are; nothing where there is no terminal to say it on. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text.slice(0, (process.stderr.columns || 80) - 1)}`);
}

/** Measures in this process. */
export async function benchHere(options: CommandLine): Promise<BenchResults> {
  using gpu = await acquireGpu({ software: options.software, log: () => undefined });
  const results = await runBench(gpu, options, {
    name: `Node ${process.versions.node}, ${process.platform} ${process.arch}`,
    cpuMs: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
    byCpu: options.clock === "cpu",
    onProgress: progress,
  });
  progress("");
  return results;
}

/** Reports on `results`, or on those of `--from`; the exit code is 1 where a kernel was wrong. */
export async function report(options: CommandLine, measure: () => Promise<BenchResults>): Promise<void> {
  const { from, json, html } = options;
  const results = from === undefined ? await measure() : parseResults(await readFile(from, "utf8"));
  const { adapter, host, ceilings, hostCost, problems, regret } = results;
  console.log(`${adapter.name}, ${host}\n\n${formatCeilings(ceilings)}`);
  if (hostCost) console.log(`\n${formatHostCost(hostCost)}`);
  for (const problem of problems) console.log(formatProblem(problem, ceilings));
  if (regret) console.log(`\n${formatRegret(regret)}`);
  if (json !== undefined) await writeFile(json, `${JSON.stringify(results, null, 1)}\n`);
  if (html !== undefined) await writeFile(html, htmlReport(results));
  const wrong = problems.flatMap(({ lines }) => lines.filter(({ failure }) => failure !== undefined));
  if (wrong.length > 0) process.exitCode = 1;
}
