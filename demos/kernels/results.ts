// What has been measured of one problem, and its ways out of the page: JSON, CSV, a picture.

import type { Ceilings, Choice, Field, Standing, Variant, VariantName } from "./protocol.ts";

/** A variant with what is known of it so far. */
export interface Entry extends Variant, Standing {}

export interface Results extends Omit<Field, "variants"> {
  readonly choice: Choice;
  readonly adapter: string;
  readonly ceilings: Ceilings | undefined;
  readonly entries: readonly Entry[];
}

/** `registerTile rows=4 columns=8`. */
export const labelOf = ({ strategy, params }: VariantName): string =>
  params === "" ? strategy : `${strategy} ${params}`;

/** The fastest first; those without a time last. */
export function ranked(entries: readonly Entry[]): Entry[] {
  const time = ({ timing }: Entry): number => timing?.medianMs ?? Infinity;
  return [...entries].sort((a, b) => time(a) - time(b) || a.id - b.id);
}

export const gflopsOf = (flops: number, timeMs: number): number => flops / timeMs / 1e6;
export const gigabytesOf = (bytes: number, timeMs: number): number => bytes / timeMs / 1e6;

export function toJson(results: Results): string {
  return `${JSON.stringify(results, undefined, 2)}\n`;
}

/** A line a variant, with the field names first. */
export function toCsv({ choice, adapter, flops, entries }: Results): string {
  const quoted = (field: string): string => (/[",\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);
  const extents = Object.entries(choice.dimensions);
  const head = ["adapter", "operator", ...extents.map(([name]) => name), "dtype", "strategy", "params", "chosen"];
  const figures = ["median ms", "low ms", "high ms", "GFLOP/s", "GB/s", "error / max", "error / bound", "right"];
  const lines = ranked(entries).map(({ strategy, params, isChosen, timing, check, trafficBytes }) => [
    adapter,
    choice.operator,
    ...extents.map(([, value]) => String(value)),
    choice.dtype,
    strategy,
    params,
    isChosen ? "yes" : "no",
    ...(timing
      ? [
          ...[timing.medianMs, timing.lowMs, timing.highMs].map((ms) => ms.toPrecision(6)),
          gflopsOf(flops, timing.medianMs).toPrecision(6),
          gigabytesOf(trafficBytes, timing.medianMs).toPrecision(6),
        ]
      : ["", "", "", "", ""]),
    ...(check ? [String(check.error), String(check.errorOverBound), check.passed ? "yes" : "no"] : ["", "", ""]),
  ]);
  return [[...head, ...figures], ...lines].map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";
}

export interface PictureColours {
  readonly ink: string;
  readonly muted: string;
  readonly accent: string;
  readonly line: string;
  readonly surface: string;
}

const SCALE = 2;
const WIDTH = 900;
const ROW = 30;
const HEAD = 76;
const LABEL = 300;
const FIGURE = 150;

/** The ranking as a picture in the page's colours. */
export function toPicture({ choice, adapter, flops, entries }: Results, colours: PictureColours): HTMLCanvasElement {
  const timed = ranked(entries).filter(({ timing }) => timing);
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH * SCALE;
  canvas.height = (HEAD + timed.length * ROW + 24) * SCALE;
  const context = canvas.getContext("2d")!;
  context.scale(SCALE, SCALE);
  context.fillStyle = colours.surface;
  context.fillRect(0, 0, canvas.width, canvas.height);
  const write = (text: string, x: number, y: number, colour: string, font: string): void => {
    context.fillStyle = colour;
    context.font = font;
    context.fillText(text, x, y, x < LABEL ? WIDTH : FIGURE);
  };
  const extents = Object.entries(choice.dimensions).map(([name, value]) => `${name} ${value}`);
  write(`${choice.operator} · ${extents.join(", ")} · ${choice.dtype}`, 24, 34, colours.ink, "600 17px system-ui");
  write(adapter, 24, 56, colours.muted, "13px system-ui");
  const slowest = Math.max(...timed.map(({ timing }) => timing!.medianMs));
  for (const [i, entry] of timed.entries()) {
    const y = HEAD + i * ROW;
    const { medianMs } = entry.timing!;
    const width = Math.max(2, ((WIDTH - LABEL - FIGURE - 24) * medianMs) / slowest);
    write(labelOf(entry), 24, y + 18, colours.ink, `${entry.isChosen ? 600 : 400} 13px system-ui`);
    context.fillStyle = entry.isChosen ? colours.accent : colours.line;
    context.fillRect(LABEL, y + 5, width, ROW - 12);
    const figure = `${medianMs.toPrecision(3)} ms · ${gflopsOf(flops, medianMs).toPrecision(3)} GFLOP/s`;
    write(figure, LABEL + width + 10, y + 18, colours.muted, "12px system-ui");
  }
  return canvas;
}
