// The bench's command line, for Node and for its bundle.

import { Command, InvalidArgumentError, Option } from "commander";
import type { BenchOptions } from "./bench.ts";

export interface CommandLine extends BenchOptions {
  readonly json?: string;
  readonly html?: string;
  readonly from?: string;
  readonly software: boolean;
  readonly clock: "gpu" | "cpu";
  readonly browser: boolean;
  readonly serve: boolean;
}

const count = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError("expected a whole number");
  return value;
};
const gather = (text: string, before: readonly string[] = []): string[] => [...before, text];

interface Given {
  readonly shape?: readonly string[];
  readonly strategy?: readonly string[];
  readonly rounds: number;
  readonly repeats?: number;
  readonly regret?: boolean;
  readonly shapesEach: number;
  readonly tune: number;
  readonly check: boolean;
  readonly json?: string;
  readonly html?: string;
  readonly from?: string;
  readonly software?: boolean;
  readonly clock: "gpu" | "cpu";
  readonly browser?: boolean;
  readonly serve?: boolean;
}

export function parseCommandLine(argv: readonly string[]): CommandLine {
  const command = new Command("bench")
    .description("Measures every strategy of every kernel family on this adapter: time, share of the ceiling, error.")
    .argument("[what...]", "families (matmul, conv …), operators, operator/strategy, or host")
    .option("--shape <shape>", "a problem of one's own, e.g. 512x512,512x512;transB=1 (repeatable)", gather)
    .option("--strategy <text>", "only strategies with this in their label (repeatable)", gather)
    .option("--rounds <n>", "samples of those that are not clearly slower", count, 7)
    .option("--no-check", "do not compare with the reference")
    .option("--regret", "how near the scheduler's choices come to the best")
    .option("--shapes-each <n>", "shapes a family for --regret", count, 40)
    .option("--tune <ms>", "time for tuning each family for --regret, 0: none", count, 60_000)
    .option("--json <file>", "write the results")
    .option("--html <file>", "write a report that needs no other file")
    .option("--from <file>", "report on kept results instead of measuring")
    .addOption(new Option("--clock <which>", "whose time counts").choices(["gpu", "cpu"]).default("gpu"))
    .option("--software", "the software adapter, although there is a GPU")
    .option("--browser", "measure in Chromium instead of Node")
    .option("--serve", "serve the bench's page for any browser");
  command.parse([...argv], { from: "user" });
  const {
    shape = [],
    strategy = [],
    tune,
    software = false,
    browser = false,
    serve = false,
    ...rest
  } = command.opts<Given>();
  return { ...rest, what: command.args, shapes: shape, strategies: strategy, tuneMs: tune, software, browser, serve };
}
