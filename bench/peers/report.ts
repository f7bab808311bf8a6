// From samples to tables: medians, ratios to the fastest rival, and whether each row reaches its bar. Pure functions of the
// results, so that a saved run prints again as it did.

import { formatTable } from "../../src/scheduler/plan.ts";
import { libraries } from "./libraries.ts";
import { workload, type Workload } from "./workloads.ts";

/** One library on one row. */
export interface Cell {
  /** Milliseconds of each sample. */
  readonly latencyMs: number[];
  readonly throughputMs: number[];
  /** max |y - reference| / max |reference| */
  readonly error?: number | null | undefined;
  readonly note?: string | undefined;
  /** What went wrong, instead of samples. */
  failure?: string;
}

export interface Cold {
  readonly timeMs: number[];
  readonly loadMs: number[];
  /** What a page downloads until its first result. */
  bytes?: number;
  gzipBytes?: number;
  failure?: string;
}

export interface PeerResults {
  readonly date: string;
  readonly chromium: string;
  readonly rounds: number;
  readonly libraries: Record<string, unknown>;
  /** Row → library → cell. */
  readonly rows: Record<string, Record<string, Cell>>;
  readonly cold: Record<string, Cold>;
}

/** How many times as fast as the fastest WebGPU peer a row has to be in throughput, by row or family. */
const bars: Readonly<Record<string, number>> = { W1: 1.5, W2: 1.2, W3: 2, W4: 1.5, W5: 1.5, W8: 1.8, W9: 1.8, W10: 3, W12: 2.5 }; // prettier-ignore
/** A cold page may download at most this share of ONNX Runtime Web's gzipped bytes. */
const BYTES_SHARE = 1 / 40;
const ORT = "ort-webgpu";
const WRONG = 1e-3;

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** 1234, 123, 12.3, 1.23, 0.0123 */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value >= 0.1 ? value.toFixed(2) : value.toPrecision(3);
}

type Mode = "throughputMs" | "latencyMs";

/** A library's median on a row; undefined if it failed, is wrong, or computed on the CPU by its own word. */
function timeOf(cell: Cell | undefined, mode: Mode): number | undefined {
  if (!cell || cell.failure !== undefined || cell[mode].length === 0) return undefined;
  if ((cell.error ?? 0) > WRONG || /^CPU:/.test(cell.note ?? "")) return undefined;
  return median(cell[mode]);
}

interface Best {
  readonly name: string;
  readonly timeMs: number;
}

function best(row: Readonly<Record<string, Cell>>, kind: "peer" | "raw", mode: Mode): Best | undefined {
  let first: Best | undefined;
  for (const [name, cell] of Object.entries(row)) {
    if (libraries[name]?.kind !== kind) continue;
    const timeMs = timeOf(cell, mode);
    if (timeMs !== undefined && !(first && first.timeMs <= timeMs)) first = { name, timeMs };
  }
  return first;
}

/** How Neurite stands on one row. */
export interface Verdict {
  readonly id: string;
  readonly timeMs: number;
  readonly peer: Best | undefined;
  readonly raw: Best | undefined;
  /** The fastest WebGPU peer's time over Neurite's. */
  readonly ratio: number | undefined;
  /** What the ratio has to be; undefined where nothing was set. */
  readonly bar: number | undefined;
  readonly met: boolean | undefined;
}

/** Neurite against the fastest WebGPU peer, row by row. W1 has to be as fast as the best handwritten kernel, too. */
export function verdicts({ rows }: PeerResults, mode: Mode = "throughputMs"): Verdict[] {
  return Object.entries(rows).flatMap(([id, row]) => {
    const timeMs = timeOf(row["neurite"], mode);
    if (timeMs === undefined) return [];
    const peer = best(row, "peer", mode);
    const raw = best(row, "raw", mode);
    const ratio = peer && peer.timeMs / timeMs;
    const bar = mode === "throughputMs" ? bars[id.split(".")[0]!] : undefined;
    const matchesRaw = !id.startsWith("W1.") || !raw || raw.timeMs >= timeMs;
    const met = bar === undefined || ratio === undefined ? undefined : ratio >= bar && matchesRaw;
    return [{ id, timeMs, peer, raw, ratio, bar, met }];
  });
}

const rate = ({ flops, bytes, dispatches }: Workload, timeMs: number): string => {
  if (flops) return `${formatNumber(flops / timeMs / 1e6)} GFLOP/s`;
  if (bytes) return `${formatNumber(bytes / timeMs / 1e6)} GB/s`;
  return dispatches ? `${formatNumber((1000 * timeMs) / dispatches)} µs each` : "";
};
const metText = (met: boolean | undefined): string => (met === undefined ? "" : met ? "yes" : "NO");

/** The whole report, as text. */
export function formatReport(results: PeerResults): string {
  const names = Object.keys(results.libraries);
  const parts = [`Chromium ${results.chromium}, ${results.date}, medians of ${results.rounds} rounds`];
  const ids = Object.keys(results.rows);
  const steady = ids.filter((id) => !workload(id).isCeiling);
  const ceilings = ids.filter((id) => workload(id).isCeiling);

  for (const [name, told] of Object.entries(results.libraries)) parts.push(`  ${name}: ${JSON.stringify(told)}`);
  if (ceilings.length > 0) {
    const lines = ceilings.flatMap((id) =>
      Object.entries(results.rows[id]!).map(([name, cell]) => {
        const timeMs = timeOf(cell, "throughputMs");
        const text =
          timeMs === undefined ? [cell.failure ?? "", ""] : [formatNumber(timeMs), rate(workload(id), timeMs)];
        return [workload(id).what, name, ...text];
      }),
    );
    parts.push("\nThe device itself", formatTable(["what", "library", "ms", "rate"], lines));
  }
  for (const mode of ["throughputMs", "latencyMs"] as const) {
    if (steady.length === 0) break;
    const lines = steady.map((id) => [
      `${id} ${workload(id).what}`,
      ...names.map((name) => {
        const cell = results.rows[id]![name];
        if (!cell) return "–";
        if (cell.failure !== undefined) return "failed";
        const mark = cell[mode].length < results.rounds ? ` n=${cell[mode].length}` : "";
        return `${formatNumber(median(cell[mode]))}${(cell.error ?? 0) > WRONG ? " WRONG" : ""}${mark}`;
      }),
    ]);
    const title =
      mode === "throughputMs" ? "Throughput: ms a run, back to back" : "Latency: ms for one run and its readback";
    parts.push(`\n${title}`, formatTable(["row", ...names], lines));
  }
  const judged = verdicts(results);
  if (judged.length > 0) {
    const lines = judged.map(({ id, timeMs, peer, raw, ratio, bar, met }) => [
      id,
      formatNumber(timeMs),
      rate(workload(id), timeMs),
      peer ? `${peer.name} ${formatNumber(peer.timeMs)}` : "–",
      ratio === undefined ? "–" : `${ratio.toFixed(2)}×`,
      raw ? `${raw.name} ${formatNumber(raw.timeMs)} (${(raw.timeMs / timeMs).toFixed(2)}×)` : "–",
      bar === undefined ? "" : `≥ ${bar}×`,
      metText(met),
    ]);
    const header = [
      "row",
      "neurite ms",
      "rate",
      "fastest WebGPU peer",
      "speed against it",
      "best raw kernel",
      "bar",
      "met",
    ];
    parts.push("\nNeurite against the fastest WebGPU peer, throughput", formatTable(header, lines));
  }
  if (steady.length > 0) {
    const lines = steady.map((id) => [
      id,
      ...names.map((name) => {
        const cell = results.rows[id]![name];
        if (!cell) return "–";
        return cell.failure ?? [cell.error?.toExponential(1), cell.note].filter(Boolean).join(" ");
      }),
    ]);
    parts.push("\nError: max |y - reference| / max |reference|", formatTable(["row", ...names], lines));
  }
  if (Object.keys(results.cold).length > 0) parts.push("\n" + formatCold(results.cold));
  return parts.join("\n");
}

function formatCold(cold: Readonly<Record<string, Cold>>): string {
  const timed = Object.entries(cold).filter(([, one]) => one.failure === undefined && one.timeMs.length > 0);
  const rivals = timed.filter(([name]) => libraries[name]?.kind === "peer").map(([, one]) => median(one.timeMs));
  const fastest = Math.min(...rivals);
  const lines = Object.entries(cold).map(([name, one]) => {
    if (one.failure !== undefined) return [name, "failed", "", "", "", one.failure];
    const timeMs = median(one.timeMs);
    const isOurs = name === "neurite";
    const allowed = (cold[ORT]?.gzipBytes ?? NaN) * BYTES_SHARE;
    const faster = timeMs < fastest;
    const lean = (one.gzipBytes ?? NaN) <= allowed;
    const note = isOurs
      ? [
          rivals.length > 0 ? `faster than every WebGPU peer: ${metText(faster)} (${(fastest / timeMs).toFixed(2)}×)` : "",
          allowed > 0 ? `at most 1/40 of ONNX Runtime Web's bytes: ${metText(lean)}` : "",
        ].filter(Boolean).join("; ")
      : ""; // prettier-ignore
    const kilobytes = (bytes: number | undefined): string => (bytes === undefined ? "–" : (bytes / 1000).toFixed(1));
    return [name, formatNumber(timeMs), formatNumber(median(one.loadMs)), kilobytes(one.bytes), kilobytes(one.gzipBytes), note]; // prettier-ignore
  });
  const title = "W13: fresh browser, from navigation to the first result of W8.b1; what was downloaded by then";
  return `${title}\n${formatTable(["library", "ms", "of it loading", "kB", "kB gzipped", ""], lines)}`;
}
