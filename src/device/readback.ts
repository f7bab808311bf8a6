// Reading back costs one staging buffer and one mapAsync, however many outputs there are. Staging buffers come in powers
// of two and go back to a small pool, so that a steady loop of equal reads creates nothing after its first round.

import { UsageError } from "../core/errors.ts";
import { mapMode } from "./constants.ts";

const smallestStagingBytes = 4096;
const mostIdleBuffers = 4;
const copyAlignment = 4; // bytes, of copyBufferToBuffer's offsets and sizes

/** A range of a buffer to read. `offsetBytes` is a multiple of 4; `sizeBytes` need not be. */
export interface ReadSource {
  readonly buffer: GPUBuffer;
  readonly sizeBytes: number;
  readonly offsetBytes?: number;
}

interface Slot {
  readonly source: ReadSource;
  readonly stagingOffsetBytes: number;
}

/** Sources that share one staging buffer. */
interface Batch {
  readonly staging: GPUBuffer;
  readonly usedBytes: number;
  readonly slots: readonly Slot[];
}

/** What the pool needs of the device. */
interface StagingAllocator {
  create(sizeBytes: number): GPUBuffer;
  destroy(buffer: GPUBuffer): void;
  readonly maxBufferBytes: number;
}

const copiedBytes = (source: ReadSource): number => Math.ceil(source.sizeBytes / copyAlignment) * copyAlignment;

/** Copies of several buffers on their way to the host; see {@link Readback.begin}. */
export interface PendingRead {
  /** Records the copies. */
  encode(encoder: GPUCommandEncoder): void;
  /** Maps (after the copies were submitted) and returns the bytes, in the order of the sources. */
  finish(): Promise<ArrayBuffer[]>;
  /** Ends the read: the staging buffers go back to the pool or, after a failure, are destroyed. */
  end(succeeded: boolean): void;
}

/** A pool of staging buffers. */
export class Readback {
  private readonly idle: GPUBuffer[] = [];

  constructor(private readonly allocator: StagingAllocator) {}

  /** Reserves staging memory for `sources`: one buffer, or several if their sum passes the largest buffer size. */
  begin(sources: readonly ReadSource[]): PendingRead {
    const batches = this.split(sources).map((slots): Batch => {
      const last = slots.at(-1)!;
      const usedBytes = last.stagingOffsetBytes + copiedBytes(last.source);
      return { staging: this.take(usedBytes), usedBytes, slots };
    });
    return {
      encode: (encoder) => {
        for (const { staging, slots } of batches)
          for (const { source, stagingOffsetBytes } of slots)
            encoder.copyBufferToBuffer(
              source.buffer,
              source.offsetBytes ?? 0,
              staging,
              stagingOffsetBytes,
              copiedBytes(source),
            );
      },
      finish: async () => {
        await Promise.all(batches.map(({ staging, usedBytes }) => staging.mapAsync(mapMode.READ, 0, usedBytes)));
        const bytesOf = new Map<ReadSource, ArrayBuffer>();
        for (const { staging, usedBytes, slots } of batches) {
          const mapped = staging.getMappedRange(0, usedBytes);
          for (const { source, stagingOffsetBytes } of slots)
            bytesOf.set(source, mapped.slice(stagingOffsetBytes, stagingOffsetBytes + source.sizeBytes));
          staging.unmap();
        }
        return sources.map((source) => bytesOf.get(source) ?? new ArrayBuffer(0));
      },
      end: (succeeded) => {
        for (const { staging } of batches)
          if (succeeded) this.release(staging);
          else this.allocator.destroy(staging);
      },
    };
  }

  private split(sources: readonly ReadSource[]): Slot[][] {
    const batches: Slot[][] = [];
    let usedBytes = Infinity;
    for (const source of sources) {
      const { sizeBytes, offsetBytes = 0 } = source;
      if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || offsetBytes < 0 || offsetBytes % copyAlignment !== 0)
        throw new UsageError(
          `read: ${sizeBytes} bytes at offset ${offsetBytes} of ${source.buffer.label || "a buffer"}; ` +
            `expected a whole number of bytes at a multiple of ${copyAlignment}`,
        );
      if (offsetBytes + sizeBytes > source.buffer.size)
        throw new UsageError(
          `read: ${sizeBytes} bytes at offset ${offsetBytes} pass the end of ${source.buffer.label || "a buffer"}, ` +
            `which has ${source.buffer.size} bytes`,
        );
      if (sizeBytes === 0) continue;
      if (usedBytes + copiedBytes(source) > this.allocator.maxBufferBytes) {
        batches.push([]);
        usedBytes = 0;
      }
      batches.at(-1)!.push({ source, stagingOffsetBytes: usedBytes });
      usedBytes += copiedBytes(source);
    }
    return batches;
  }

  /** Makes sure that `count` reads of `sizeBytes` may be under way at once without creating anything. */
  reserve(sizeBytes: number, count: number): void {
    let ready = this.idle.filter(({ size }) => size >= sizeBytes).length;
    for (; ready < count && this.idle.length < mostIdleBuffers; ready++) this.idle.push(this.create(sizeBytes));
  }

  /** The smallest idle buffer that holds `sizeBytes`, or a new one. */
  private take(sizeBytes: number): GPUBuffer {
    let best = -1;
    for (let i = 0; i < this.idle.length; i++)
      if (this.idle[i]!.size >= sizeBytes && (best < 0 || this.idle[i]!.size < this.idle[best]!.size)) best = i;
    if (best >= 0) return this.idle.splice(best, 1)[0]!;
    return this.create(sizeBytes);
  }

  private create(sizeBytes: number): GPUBuffer {
    const roundedBytes = Math.max(smallestStagingBytes, 2 ** Math.ceil(Math.log2(sizeBytes)));
    return this.allocator.create(Math.min(roundedBytes, this.allocator.maxBufferBytes));
  }

  /** Keeps the buffer; when there are too many, the one that lay idle longest goes. */
  private release(staging: GPUBuffer): void {
    this.idle.push(staging);
    if (this.idle.length > mostIdleBuffers) this.allocator.destroy(this.idle.shift()!);
  }
}
