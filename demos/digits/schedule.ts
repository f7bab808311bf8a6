// How fast to learn: a short rise, so that the first steps do no harm, then half a cosine down to nothing, which is where
// the last tenths of a percent come from.

const RISE = 0.1; // share of all steps

/** The learning rate of each step, from 1 to `steps`, with `peak` as its largest. */
export function risingAndFalling(peak: number, steps: number): (step: number) => number {
  const top = Math.max(1, Math.round(RISE * steps));
  return (step) => {
    if (step <= top) return (peak * step) / top;
    const fallen = Math.min(1, (step - top) / (steps - top + 1));
    return (peak * (1 + Math.cos(Math.PI * fallen))) / 2;
  };
}
