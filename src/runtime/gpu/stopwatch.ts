// How long the GPU works on what one pass does: by timestamps where the device has them, else by the clock, from submit to
// the news that it is done, less what a submit that does next to nothing takes.

import type { Gpu } from "../../device/gpu.ts";
import type { GpuTimer } from "../../device/timer.ts";

type Encoder = Parameters<Parameters<Gpu["submit"]>[1]>[0];
type Pass = ReturnType<Encoder["beginComputePass"]>;

export class Stopwatch implements Disposable {
  private emptyNs = 0;

  private constructor(
    private readonly gpu: Gpu,
    private readonly timer: GpuTimer | undefined,
  ) {}

  static async on(gpu: Gpu): Promise<Stopwatch> {
    const stopwatch = new Stopwatch(gpu, await gpu.createTimer(1));
    if (!stopwatch.hasTimestamps)
      [stopwatch.emptyNs] = (await stopwatch.bestByClock([0], 5, () => undefined)) as [number];
    return stopwatch;
  }

  get hasTimestamps(): boolean {
    return this.timer !== undefined;
  }

  /** Nanoseconds of one pass in a submit of its own. */
  time(encode: (pass: Pass) => void): Promise<number> {
    return this.timePasses((encoder, timestamps) => {
      const pass = encoder.beginComputePass(timestamps);
      encode(pass);
      pass.end();
    });
  }

  /** The same for what opens its pass by itself, with the descriptor it is given. */
  async timePasses(
    encode: (encoder: Encoder, timestamps: Parameters<Encoder["beginComputePass"]>[0]) => void,
  ): Promise<number> {
    const { gpu, timer } = this;
    if (!timer) {
      const ns = await this.byClock((encoder) => {
        encode(encoder, {});
      });
      return Math.max(0, ns - this.emptyNs);
    }
    gpu.submit("timed", (encoder) => {
      encode(encoder, { timestampWrites: timer.passWrites(0) });
      timer.resolve(encoder);
    });
    return (await timer.read())[0]!;
  }

  /** The least ns by the clock of a pass for each of `sizes`, taken in turns. */
  async bestByClock(
    sizes: readonly number[],
    runs: number,
    encode: (pass: Pass, size: number) => void,
  ): Promise<number[]> {
    const best = sizes.map(() => Infinity);
    for (let run = 0; run <= runs; run++)
      for (const [i, size] of sizes.entries()) {
        const ns = await this.byClock((encoder) => {
          const pass = encoder.beginComputePass();
          encode(pass, size);
          pass.end();
        });
        if (run > 0) best[i] = Math.min(best[i]!, ns);
      }
    return best;
  }

  [Symbol.dispose](): void {
    this.timer?.destroy();
  }

  private async byClock(encode: (encoder: Encoder) => void): Promise<number> {
    await this.gpu.idle();
    const began = performance.now();
    this.gpu.submit("timed", encode);
    await this.gpu.idle();
    return (performance.now() - began) * 1e6;
  }
}
