// The bench's findings on a console.

import { formatTable } from "../../src/scheduler/plan.ts";
import {
  labelOf,
  ranked,
  type BenchCeilings,
  type BenchResults,
  type HostCost,
  type ProblemResult,
} from "./results.ts";
import { shareOfRoof, type Regret, type Roof } from "./statistics.ts";

/** Three digits. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1000) return String(Math.round(value));
  return Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toPrecision(3);
}

export function ceilingRows(ceilings: BenchCeilings): [what: string, value: string][] {
  const { gflops, vectorGflops, loadsPerNs, gigabytesPerSecond, bufferCopyGigabytesPerSecond } = ceilings;
  const { barrierNs, invocationNs, dispatchNs, submitNs } = ceilings;
  return [
    ["multiply-adds on eight scalar accumulators", `${digits(gflops)} GFLOP/s`],
    ["multiply-adds on eight vec4 accumulators", `${digits(vectorGflops)} GFLOP/s`],
    ["vec4 loads that a cache serves", `${digits(loadsPerNs)} a nanosecond`],
    ["copying by a shader, read + write", `${digits(gigabytesPerSecond)} GB/s`],
    ["copyBufferToBuffer, read + write", `${digits(bufferCopyGigabytesPerSecond)} GB/s`],
    ["a barrier, for one invocation", `${digits(barrierNs)} ns`],
    ["an invocation that does nothing", `${digits(invocationNs)} ns`],
    ["a further dispatch", `${digits(dispatchNs / 1000)} µs`],
    ["a submit, until it is known to be done", `${digits(submitNs / 1000)} µs`],
  ];
}

export function formatCeilings(ceilings: BenchCeilings): string {
  return formatTable(["ceiling", "measured"], ceilingRows(ceilings));
}

export function formatHostCost({ dispatches, runUs, oneUs, dispatchUs, objectsCreated }: HostCost): string {
  return (
    `host: a replayed run of ${dispatches} dispatches ${digits(runUs)} µs, of one ${digits(oneUs)} µs: ` +
    `${digits(dispatchUs)} µs a dispatch; GPU objects created: ${objectsCreated}`
  );
}

/** A table of one problem, the fastest first; `*` marks what is chosen. */
export function formatProblem({ operator, name, flops, bytes, lines }: ProblemResult, roof: Roof): string {
  const hasCpu = lines.some(({ cpuMs }) => cpuMs !== undefined);
  const rows = ranked(lines).map((line) => {
    const { isChosen, timing, cpuMs, dispatches, error, errorOverBound, failure } = line;
    const ms = timing?.medianMs ?? NaN;
    const { share, bound } = shareOfRoof(flops, bytes, ms, roof);
    return [
      `${isChosen ? "*" : " "} ${labelOf(line)}${dispatches > 1 ? ` (${dispatches} dispatches)` : ""}`,
      digits(ms),
      timing ? `±${Math.round(100 * timing.spread)} %` : "",
      ...(hasCpu ? [cpuMs === undefined ? "" : digits(cpuMs)] : []),
      flops > 0 ? digits(flops / ms / 1e6) : "",
      digits(bytes / ms / 1e6),
      timing ? `${Math.round(100 * share)} % ${bound}` : "",
      error === undefined ? "" : error.toExponential(0),
      failure !== undefined
        ? `WRONG: ${failure}`
        : errorOverBound === undefined
          ? ""
          : `${digits(errorOverBound)} of bound`,
    ];
  });
  const header = ["  strategy", "ms", "", ...(hasCpu ? ["cpu ms"] : []), "GFLOP/s", "GB/s", "of ceiling", "error", ""];
  const size = flops > 0 ? ` (${digits(flops / 1e6)} MFLOP)` : "";
  return `\n${operator} ${name}${size}\n${formatTable(header, rows)}`;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

export function formatRegret(regret: NonNullable<BenchResults["regret"]>): string {
  const rows = Object.entries(regret).flatMap(([family, { untuned, tuned }]) => {
    const row = (kind: string, bar: number, { quality, problems, nearBest }: Regret): string[] => [
      family,
      kind,
      percent(quality),
      `≥ ${100 * bar} %`,
      quality >= bar ? "yes" : "NO",
      `${Math.round(nearBest * problems)} of ${problems}`,
    ];
    return [row("untuned", 0.8, untuned), ...(tuned ? [row("tuned", 0.95, tuned)] : [])];
  });
  const header = ["family", "choice", "of the best", "bar", "met", "within 5 %"];
  const worst = Object.entries(regret).flatMap(([family, kinds]) =>
    Object.entries(kinds).map(([kind, { worst: choices }]: [string, Regret]) =>
      [`\n${family}, ${kind}, the worst:`, ...choices.map(({ problem }) => `  ${problem}`)].join("\n"),
    ),
  );
  const title = "Speed of what is chosen, as a share of the best there is (geometric mean)";
  return [title, formatTable(header, rows), ...worst].join("\n");
}
