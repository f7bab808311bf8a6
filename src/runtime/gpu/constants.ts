// Where constants live on the GPU. A weight that can never change and that several plans read (the same model for another
// batch size) is one buffer, uploaded once; it goes when the last plan does. Large ones go up in chunks, so that a page
// stays alive meanwhile.

import type { TypedArray } from "../../core/dtype.ts";
import type { TensorData } from "../../core/tensorData.ts";
import type { Gpu } from "../../device/gpu.ts";

type GpuBuffer = ReturnType<Gpu["createBuffer"]>;

const CHUNK_BYTES = 8 * 2 ** 20;

interface Resident {
  readonly buffer: GpuBuffer;
  readonly data: TypedArray;
  users: number;
}

export class GpuConstants {
  private readonly residents = new Map<TypedArray, Resident>();
  private readonly byBuffer = new Map<GpuBuffer, Resident>();
  /** Constants whose bytes are not on their way yet. */
  private pending: Resident[] = [];
  private sending: Promise<void> = Promise.resolve();

  constructor(private readonly gpu: Gpu) {}

  /** The buffer that holds a constant, for one more plan. {@link upload} fills new ones. */
  acquire({ data, immutable = false }: TensorData, sizeBytes: number, name: string): GpuBuffer {
    let resident = immutable ? this.residents.get(data) : undefined;
    if (!resident) {
      const buffer = this.gpu.createBuffer(sizeBytes, "storage", `constant ${name}`);
      resident = { buffer, data, users: 0 };
      if (immutable) this.residents.set(data, resident);
      this.byBuffer.set(buffer, resident);
      this.pending.push(resident);
    }
    resident.users++;
    return resident.buffer;
  }

  /** Resolves when everything acquired so far, by whichever plan, is on its way. */
  upload(): Promise<void> {
    const sent = this.sending.then(() => this.send());
    this.sending = sent.catch(() => undefined);
    return sent;
  }

  private async send(): Promise<void> {
    const pending = this.pending;
    this.pending = [];
    let sentBytes = 0;
    for (const resident of pending)
      for (let at = 0; at < resident.data.byteLength && resident.users > 0; at += CHUNK_BYTES) {
        const { buffer, data } = resident;
        const bytes = new Uint8Array(data.buffer, data.byteOffset + at, Math.min(CHUNK_BYTES, data.byteLength - at));
        this.gpu.write(buffer, bytes, at);
        sentBytes += bytes.length;
        if (sentBytes < CHUNK_BYTES) continue;
        sentBytes = 0;
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
  }

  /** One plan less needs `buffer`. */
  release(buffer: GpuBuffer): void {
    const resident = this.byBuffer.get(buffer);
    if (!resident || --resident.users > 0) return;
    if (this.residents.get(resident.data) === resident) this.residents.delete(resident.data);
    this.byBuffer.delete(buffer);
    this.gpu.destroyBuffer(buffer);
  }
}
