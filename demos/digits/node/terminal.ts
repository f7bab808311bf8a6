// What goes to the terminal: a progress bar where there is one to draw on (now and then a plain line where there is not),
// and digits drawn with half blocks, two pixels a character.

import { MultiBar, type SingleBar } from "cli-progress";

const SIDE = 28;
const CROP = 4; // MNIST's digits keep this many pixels clear on every side, or nearly
const WIDTH = SIDE - 2 * CROP;
const LINE_EVERY_MS = 5000;

const isTerminal = process.stdout.isTTY;
const hasColor = isTerminal && process.env["NO_COLOR"] === undefined && process.stdout.getColorDepth() >= 8;
const paint =
  (code: number) =>
  (text: string): string =>
    hasColor ? `\x1b[${code}m${text}\x1b[0m` : text;
export const bold = paint(1);
export const dim = paint(2);
export const red = paint(31);
export const green = paint(32);

export const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
export const count = (value: number): string => Math.round(value).toLocaleString("en");
export const duration = (ms: number): string => {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
};

/** `adapter     SwiftShader`: one line of a report. */
export function line(name: string, text: string): void {
  console.log(`  ${dim(name.padEnd(11))} ${text}`);
}

export interface TrainingProgress {
  readonly epoch: number;
  readonly epochs: number;
  /** Over all epochs. */
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly examplesPerSecond: number;
  readonly etaMs: number;
}

/** Shows how training goes. */
export class ProgressView {
  private readonly bars: MultiBar | undefined;
  private bar: SingleBar | undefined;
  private lastLineMs = -Infinity;

  constructor() {
    if (!isTerminal) return;
    this.bars = new MultiBar({
      format: `  {bar} {percentage} %  ${dim("epoch")} {epoch}  ${dim("loss")} {loss}  ${dim("accuracy")} {accuracy}  {speed}/s  {left} left`,
      barCompleteChar: "█",
      barIncompleteChar: "░",
      barsize: 16,
      hideCursor: true,
      gracefulExit: false, // Ctrl-C is handled by the program
      emptyOnZero: true,
      autopadding: true,
    });
  }

  show(at: TrainingProgress): void {
    const fields = {
      epoch: `${at.epoch}/${at.epochs}`,
      loss: at.loss.toFixed(3),
      accuracy: `${(100 * at.accuracy).toFixed(1)} %`.padStart(7),
      speed: count(at.examplesPerSecond).padStart(5),
      left: duration(at.etaMs),
    };
    if (this.bars) {
      this.bar ??= this.bars.create(at.steps, 0, fields);
      this.bar.update(at.step, fields);
      return;
    }
    const nowMs = performance.now();
    if (nowMs - this.lastLineMs < LINE_EVERY_MS && at.step < at.steps) return;
    this.lastLineMs = nowMs;
    console.log(
      `  step ${at.step}/${at.steps}  epoch ${fields.epoch}  loss ${fields.loss}  accuracy ${fields.accuracy.trim()}  ` +
        `${fields.speed.trim()}/s  ${fields.left} left`,
    );
  }

  /** Prints a line that stays, above the bar. */
  print(text: string): void {
    if (this.bars && this.bar) this.bars.log(`${text}\n`);
    else console.log(text);
  }

  stop(): void {
    this.bars?.stop();
  }
}

export interface DrawnDigit {
  /** 28 × 28 pixels, 0 to 1. */
  readonly picture: ArrayLike<number>;
  /** Two lines below it. */
  readonly captions: readonly string[];
}

/** Prints digits side by side, as many a row as fit. */
export function printDigits(digits: readonly DrawnDigit[]): void {
  const gap = 4;
  const perRow = Math.max(1, Math.min(digits.length, Math.floor(((process.stdout.columns || 80) - 2) / (WIDTH + gap))));
  for (let first = 0; first < digits.length; first += perRow) {
    const row = digits.slice(first, first + perRow);
    const drawn = row.map(({ picture }) => drawDigit(picture));
    for (let y = 0; y < WIDTH / 2; y++) console.log(`  ${drawn.map((lines) => lines[y]!).join(" ".repeat(gap))}`);
    const height = Math.max(...row.map(({ captions }) => captions.length));
    for (let i = 0; i < height; i++)
      console.log(
        `  ${row
          .map(({ captions }) => pad(captions[i] ?? "", WIDTH + gap))
          .join("")
          .trimEnd()}`,
      );
    console.log();
  }
}

function drawDigit(picture: ArrayLike<number>): string[] {
  const at = (x: number, y: number): number => picture[(y + CROP) * SIDE + x + CROP]!;
  return Array.from({ length: WIDTH / 2 }, (_, row) => {
    const cells = Array.from({ length: WIDTH }, (_, x) => cell(at(x, 2 * row), at(x, 2 * row + 1)));
    return cells.join("") + (hasColor ? "\x1b[0m" : "");
  });
}

/** Two pixels, one above the other: in greys, or in black and white without colours. */
function cell(upper: number, lower: number): string {
  if (!hasColor) return upper > 0.4 ? (lower > 0.4 ? "█" : "▀") : lower > 0.4 ? "▄" : " ";
  const grey = (value: number): number => 232 + Math.round(23 * Math.min(1, value));
  return `\x1b[38;5;${grey(upper)};48;5;${grey(lower)}m▀`;
}

/** Pads to a width on screen; colours take none. */
function pad(text: string, width: number): string {
  // eslint-disable-next-line no-control-regex
  const visible = text.replace(/\x1b\[[\d;]*m/g, "").length;
  return text + " ".repeat(Math.max(0, width - visible));
}
