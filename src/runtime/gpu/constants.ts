// Where constants live on the GPU. A weight that can never change and that several plans read (the same model for another
// batch size) is one buffer, uploaded once; it goes when the last plan does. Large ones go up in chunks, so that a page
// stays alive meanwhile.

import { pause } from "../../core/pause.ts";
import type { Packing, Storage } from "../../core/storage.ts";
import { sizeOf } from "../../core/shape.ts";
import type { TensorData } from "../../core/tensorData.ts";
import type { Gpu } from "../../device/gpu.ts";

type GpuBuffer = ReturnType<Gpu["createBuffer"]>;

const WORD_BYTES = 4;
const CHUNK_WORDS = 2 * 2 ** 20;

/** How a constant is stored in less than a word an element. */
export interface Narrow {
  readonly storage: Storage;
  readonly packing: Packing;
}

interface Resident {
  readonly buffer: GpuBuffer;
  readonly tensor: TensorData;
  readonly narrow: Narrow | undefined;
  users: number;
  /** Settled when its contents are on their way, or cannot be; undefined before anyone began to send them. */
  sent?: Promise<void>;
}

export class GpuConstants {
  /** By the elements that can never change, or by the tensor whose elements are elsewhere. */
  private readonly residents = new Map<object, Resident>();
  private readonly byBuffer = new Map<GpuBuffer, Resident>();

  constructor(private readonly gpu: Gpu) {}

  /** The buffer that holds a constant, for one more plan. {@link upload} fills new ones. */
  acquire(tensor: TensorData, sizeBytes: number, name: string, narrow?: Narrow): GpuBuffer {
    const { immutable = false } = tensor;
    const key = keyOf(tensor);
    let resident = immutable ? this.residents.get(key) : undefined;
    if (!resident || resident.narrow?.storage !== narrow?.storage) {
      const buffer = this.gpu.createBuffer(sizeBytes, "storage", `constant ${name}`);
      resident = { buffer, tensor, narrow, users: 0 };
      if (immutable) this.residents.set(key, resident);
      this.byBuffer.set(buffer, resident);
    }
    resident.users++;
    return resident.buffer;
  }

  /** Resolves when the contents of these buffers are on their way, whichever plan sends them. `onProgress` gets bytes. */
  async upload(buffers: readonly GpuBuffer[], onProgress: (done: number, total: number) => void): Promise<void> {
    const residents = new Set(buffers.flatMap((buffer) => this.byBuffer.get(buffer) ?? []));
    const own = [...residents].filter(({ sent }) => !sent);
    const sending = this.send(own, onProgress);
    for (const resident of own) resident.sent = sending;
    await Promise.all([...residents].map(({ sent }) => sent!));
  }

  private async send(own: readonly Resident[], onProgress: (done: number, total: number) => void): Promise<void> {
    const total = own.reduce((sum, { tensor }) => sum + sizeOf(tensor.shape), 0) * WORD_BYTES;
    let done = 0;
    let paused = 0;
    for (const resident of own) {
      const { buffer, tensor, narrow } = resident;
      const count = sizeOf(tensor.shape);
      for (let first = 0; first < count && resident.users > 0; first += CHUNK_WORDS) {
        const words = Math.min(CHUNK_WORDS, count - first);
        const chunk = tensor.read ? await tensor.read(first, words) : tensor.data.subarray(first, first + words);
        if (resident.users === 0) break; // released meanwhile
        const bytes = narrow ? narrow.packing.pack(chunk, narrow.storage) : chunk;
        this.gpu.write(buffer, bytes, narrow ? narrow.packing.storageBytes(first, narrow.storage) : first * WORD_BYTES);
        done += words * WORD_BYTES;
        if (done - paused < CHUNK_WORDS * WORD_BYTES) continue;
        paused = done;
        onProgress(done, total);
        await pause();
      }
    }
    onProgress(total, total);
  }

  /** One plan less needs `buffer`. */
  release(buffer: GpuBuffer): void {
    const resident = this.byBuffer.get(buffer);
    if (!resident || --resident.users > 0) return;
    const key = keyOf(resident.tensor);
    if (this.residents.get(key) === resident) this.residents.delete(key);
    this.byBuffer.delete(buffer);
    this.gpu.destroyBuffer(buffer);
  }
}

const keyOf = (tensor: TensorData): object => (tensor.read ? tensor : tensor.data);
