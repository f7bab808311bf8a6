// What a fit tells while it runs: means over the examples seen so far, and how fast they come.

/** One step's results, read back. */
export interface StepResult {
  readonly loss: number;
  /** Sums over the batch. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly examples: number;
  readonly number: number;
  readonly learningRate: number;
}

/** Sums over examples, as results come in. */
export class Totals {
  private examples = 0;
  private lossSum = 0;
  private readonly sums = new Map<string, number>();

  add({ loss, metrics, examples }: StepResult): void {
    this.examples += examples;
    this.lossSum += loss * examples;
    for (const [name, sum] of Object.entries(metrics)) this.sums.set(name, (this.sums.get(name) ?? 0) + sum);
  }

  loss(): number {
    return this.lossSum / this.examples;
  }

  metrics(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.sums].map(([name, sum]) => [name, sum / this.examples]));
  }
}

/** Examples a second, with the time of compiling and validating left out. */
export class Stopwatch {
  examples = 0;
  private start = performance.now();

  add(examples: number): void {
    this.examples += examples;
  }

  get rate(): number {
    return (1000 * this.examples) / Math.max(1e-3, performance.now() - this.start);
  }

  /** Runs `work` with the watch stopped. */
  async without<T>(work: () => Promise<T>): Promise<T> {
    const stopped = performance.now();
    try {
      return await work();
    } finally {
      this.start += performance.now() - stopped;
    }
  }
}
