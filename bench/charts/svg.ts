// What the charts share: text made safe, numbers made short, marks and places on a logarithmic axis. Charts are strings of SVG, drawn in
// the page's custom properties (--ink, --muted, --line, --accent, --warm, --surface), so that one drawing suits light and dark,
// a self-contained report and a live page.

/** `text` with what XML means by itself written out. */
export const escapeXml = (text: string): string =>
  text.replace(/[&<>"]/g, (found) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[found]!);

/** Few digits, whatever the magnitude: `1234` → `1230`, `0.01234` → `0.0123`. */
export function short(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const magnitude = Math.abs(value);
  if (magnitude >= 1e6 || magnitude < 1e-3) return value.toExponential(1).replace("e+", "e");
  return String(Number(value.toPrecision(3)));
}

/** A logarithmic axis over whole decades or halves of them, wide enough for `values`. */
export class LogAxis {
  private readonly low: number;
  private readonly high: number;

  /** `from` and `to` are the pixels of its ends. */
  constructor(
    values: readonly number[],
    private readonly from: number,
    private readonly to: number,
  ) {
    const logs = values.filter((value) => value > 0).map(Math.log10);
    this.low = Math.floor(2 * Math.min(...logs, 0)) / 2;
    this.high = Math.max(Math.ceil(2 * Math.max(...logs, 0)) / 2, this.low + 1);
  }

  get ends(): readonly [low: number, high: number] {
    return [10 ** this.low, 10 ** this.high];
  }

  /** The pixel of a value; values beyond the ends lie on them. */
  at(value: number): number {
    const share = (Math.log10(Math.max(value, Number.MIN_VALUE)) - this.low) / (this.high - this.low);
    return this.from + Math.min(1, Math.max(0, share)) * (this.to - this.from);
  }

  /** Powers of ten within. */
  get marks(): number[] {
    const marks: number[] = [];
    for (let power = Math.ceil(this.low); power <= Math.floor(this.high); power++) marks.push(10 ** power);
    return marks;
  }
}
