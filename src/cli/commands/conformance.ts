// `neurite conformance DIR`: runs folders in ONNX's backend-test form and counts.

import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Command, Option } from "commander";
import { UsageError } from "../../core/errors.ts";
import type { Backend } from "../../engine.ts";
import { runTests, type ConformanceReport } from "../conformance/coordinator.ts";
import { findTests } from "../conformance/folders.ts";
import type { TestResult } from "../conformance/runner.ts";
import { EXIT } from "../exit.ts";
import { backendOption, parsePattern, parsePositive } from "../options.ts";

interface Options {
  readonly backend: Backend;
  readonly filter?: RegExp;
  readonly json?: string;
  readonly timeout: number;
  readonly worker?: boolean;
}

const WORKER = "--worker";

export function conformanceCommand(exit: (code: number) => void): Command {
  return new Command("conformance")
    .description("run test folders in ONNX's backend-test form and count what passes")
    .argument("<dir>", "a set of test folders, with or without index.json, or a single test")
    .addOption(backendOption())
    .option("--filter <regexp>", "only tests whose name matches", parsePattern)
    .option("--json <file>", "write every test's result")
    .option("--timeout <seconds>", "for one test", parsePositive, 300)
    .addOption(new Option(WORKER).hideHelp())
    .addHelpText(
      "after",
      "\nExit code 0 if none failed, else 1. A model that needs what is not there counts as failed.",
    )
    .action(async (dir: string, options: Options) => {
      if (options.worker) {
        const { serve } = await import("../conformance/worker.ts");
        await serve(options.backend);
        return;
      }
      exit(await conformance(dir, options));
    });
}

async function conformance(dir: string, { backend, filter, json, timeout }: Options): Promise<number> {
  const tests = findTests(resolve(dir)).filter(({ name }) => filter?.test(name) ?? true);
  if (tests.length === 0) throw new UsageError(`no test in ${dir} matches ${String(filter)}`);
  const progress = progressLine(tests.length);
  const report = await runTests(tests, {
    backend,
    program: process.argv[1]!,
    arguments: ["conformance", dir, "--backend", backend, WORKER],
    timeoutMs: timeout * 1000,
    onStart: ({ name }, index) => progress.show(index, name),
    onResult: (result) => {
      const line = resultLine(result);
      if (line === undefined) return;
      progress.clear();
      console.log(line);
    },
  });
  progress.clear();
  const summary = summaryOf(report.results);
  if (json !== undefined) await writeFile(json, `${JSON.stringify({ backend, ...report }, undefined, 2)}\n`);
  console.log(summary);
  return report.results.some(isFailure) ? EXIT.wrong : EXIT.right;
}

const isFailure = ({ status }: TestResult): boolean => status === "failed" || status === "unsupported";

/** One line for a result that needs words. */
function resultLine({ name, status, why }: TestResult): string | undefined {
  if (why === undefined || status === "skipped") return undefined;
  if (status === "passed") return `${name}: passed (${why})`;
  return status === "unsupported" ? `${name}: unsupported: ${why}` : `${name}: ${why}`;
}

/** What is not supported, by operator, and the count. */
function summaryOf(results: ConformanceReport["results"]): string {
  const reasons = new Map<string, { count: number; why: string }>();
  for (const { status, missingOperators, why = "" } of results) {
    if (status !== "unsupported") continue;
    const causes = missingOperators?.map((name): [string, string] => [name, "no such operator here"]) ?? [[why, ""]];
    for (const [cause, explanation] of causes) {
      const entry = reasons.get(cause) ?? { count: 0, why: explanation };
      entry.count++;
      reasons.set(cause, entry);
    }
  }
  const lines: string[] = [];
  if (reasons.size > 0) lines.push("", "Not supported:");
  for (const [cause, { count, why }] of [...reasons].sort(([, a], [, b]) => b.count - a.count))
    lines.push(`  ${count} × ${cause}${why === "" ? "" : `: ${why}`}`);
  if (lines.length > 0) lines.push("");
  const passed = results.filter(({ status }) => status === "passed").length;
  const skipped = results.filter(({ status }) => status === "skipped").length;
  const failed = results.filter(isFailure).length;
  lines.push(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  return lines.join("\n");
}

/** A line on stderr that is written over; nothing where stderr is no terminal. */
function progressLine(total: number): { show: (index: number, name: string) => void; clear: () => void } {
  if (!process.stderr.isTTY) return { show: () => undefined, clear: () => undefined };
  const clear = (): void => void process.stderr.write("\r\u001b[2K");
  return {
    clear,
    show(index, name) {
      const width = Math.max(20, (process.stderr.columns || 80) - 1);
      clear();
      process.stderr.write(`[${index + 1}/${total}] ${name}`.slice(0, width));
    },
  };
}
