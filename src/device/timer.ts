// GPU time of single compute passes, from timestamp queries: two 64-bit nanosecond counts a pass, resolved into a buffer
// and read back. Browsers round them: Chrome to 100 µs, unless its WebGPU developer features are switched on.

import { UsageError } from "../core/errors.ts";
import type { BufferKind } from "./constants.ts";
import type { ReadSource } from "./readback.ts";

const passesPerSet = 2048; // a query set holds at most 4,096 queries
const queryBytes = 8;

/** What a timer needs of the Gpu that made it. */
interface TimerHost {
  readonly device: GPUDevice;
  createBuffer(sizeBytes: number, kind: BufferKind, label: string): GPUBuffer;
  destroyBuffer(buffer: GPUBuffer): void;
  read(sources: readonly ReadSource[]): Promise<ArrayBuffer[]>;
}

/** Times up to `capacity` compute passes. Made by `Gpu.createTimer`. */
export class GpuTimer {
  private readonly sets: GPUQuerySet[] = [];
  private readonly results: GPUBuffer;

  constructor(
    private readonly host: TimerHost,
    /** Number of passes that can be timed. */
    readonly capacity: number,
    private readonly onDestroyed: () => void = () => undefined,
  ) {
    if (!Number.isSafeInteger(capacity) || capacity < 1)
      throw new UsageError(`createTimer: ${capacity} is not a number of passes`);
    for (let first = 0; first < capacity; first += passesPerSet) {
      const count = 2 * Math.min(passesPerSet, capacity - first);
      this.sets.push(host.device.createQuerySet({ type: "timestamp", count, label: `timer ${first}` }));
    }
    this.results = host.createBuffer(capacity * 2 * queryBytes, "query", "timer results");
  }

  /** What to pass as `timestampWrites` of pass `index`, 0 … capacity - 1. Throws {@link UsageError} outside. */
  passWrites(index: number): GPUComputePassTimestampWrites {
    const querySet = this.sets[Math.floor(index / passesPerSet)];
    if (querySet === undefined || index >= this.capacity)
      throw new UsageError(`timer: pass ${index} of a timer for ${this.capacity} passes`);
    const first = 2 * (index % passesPerSet);
    return { querySet, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 };
  }

  /** Records the resolving of the first `passes` passes; call it after their last pass, in the same submit or later. */
  resolve(encoder: GPUCommandEncoder, passes = this.capacity): void {
    this.checkPasses(passes);
    for (let set = 0; set * passesPerSet < passes; set++) {
      const count = 2 * Math.min(passesPerSet, passes - set * passesPerSet);
      encoder.resolveQuerySet(this.sets[set]!, 0, count, this.results, set * passesPerSet * 2 * queryBytes);
    }
  }

  /** Nanoseconds of each of the first `passes` passes, as resolved last. A clock that ran backwards reads as 0. */
  async read(passes = this.capacity): Promise<number[]> {
    this.checkPasses(passes);
    const [bytes] = await this.host.read([{ buffer: this.results, sizeBytes: passes * 2 * queryBytes }]);
    const ticks = new BigUint64Array(bytes!);
    return Array.from({ length: passes }, (_, i) => Math.max(0, Number(ticks[2 * i + 1]! - ticks[2 * i]!)));
  }

  /** Frees the query sets and the buffer. */
  destroy(): void {
    for (const set of this.sets) set.destroy();
    this.host.destroyBuffer(this.results);
    this.onDestroyed();
  }

  private checkPasses(passes: number): void {
    if (passes > this.capacity) throw new UsageError(`timer: ${passes} passes of a timer for ${this.capacity}`);
  }
}
