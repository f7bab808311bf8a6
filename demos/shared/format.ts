// Numbers for people.

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** 1234567 → `1.23 M`. */
export function count(value: number): string {
  if (value < 10_000) return plain.format(value);
  const power = Math.min(4, Math.floor(Math.log10(value) / 3));
  return `${(value / 1000 ** power).toPrecision(3)} ${["", "k", "M", "G", "T"][power]}`;
}

/** 1536 → `1.50 KiB`. */
export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  const power = Math.min(3, Math.floor(Math.log2(value) / 10));
  const scaled = value / 1024 ** power;
  return `${scaled >= 1000 ? Math.round(scaled) : scaled.toPrecision(3)} ${["", "KiB", "MiB", "GiB"][power]}`;
}

/** 0.01234 → `12.3 µs`. */
export function milliseconds(value: number): string {
  if (value < 1) return `${(1000 * value).toFixed(value < 0.0995 ? 1 : 0)} µs`;
  return `${value < 100 ? value.toPrecision(3) : value.toFixed(0)} ms`;
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Few digits, whatever the magnitude. */
export function short(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const magnitude = Math.abs(value);
  if (magnitude >= 1e5 || magnitude < 1e-3) return value.toExponential(1).replace("e+", "e");
  return String(Number(value.toPrecision(3)));
}
