// One Gpu wraps one GPUDevice and is the only way Neurite touches it: buffers, pipelines, submits, readback, timers and,
// above all, errors. WebGPU reports what went wrong later and elsewhere, so every piece of work done here runs inside error
// scopes; what they catch is remembered with the step that was at work and thrown by the next read() or idle(). A number
// that came from an invalid submit is therefore never returned. Scopes are a stack that the whole device shares, so none
// stays pushed across an await.

import {
  DeviceLostError,
  GpuError,
  GpuValidationError,
  messageOf,
  UnsupportedError,
  UsageError,
} from "../core/errors.ts";
import { DEFAULT_LIMITS, type KernelLimits } from "../../shaders/strategy.ts";
import { limitsRecord, type AdapterSummary } from "./adapter.ts";
import { usagesOf, type BufferKind } from "./constants.ts";
import { errorFilters, gpuError, uncapturedError } from "./gpuErrors.ts";
import { Pipelines, type GpuPipeline, type KernelLayout } from "./pipelines.ts";
import { Readback, type ReadSource } from "./readback.ts";
import type { GpuTimer } from "./timer.ts";

const bufferAlignment = 16; // bytes: any vec4 access stays inside the buffer
const writeAlignment = 4; // bytes, of writeBuffer's offset and size
const lossGraceMs = 100; // a failing call may be told before the device's loss is

/** Running totals of one {@link Gpu}; live figures fall again when buffers are destroyed. */
export interface GpuCounters {
  buffersCreated: number;
  buffersLive: number;
  bytesLive: number;
  bindGroupsCreated: number;
  pipelinesCreated: number;
  submits: number;
}

/** One buffer of a bind group. Without `size` (bytes) it is bound from `offset` (bytes) to its end. */
export interface BufferBinding {
  readonly binding: number;
  readonly buffer: GPUBuffer;
  readonly offset?: number;
  readonly size?: number;
}

/** What {@link Gpu} is made from; `acquireGpu` fills it in. */
export interface GpuParts {
  readonly device: GPUDevice;
  readonly adapter: AdapterSummary;
  /** True if Neurite requested the device, and so destroys it. */
  readonly owned: boolean;
  /** Objects that must live as long as the device (Dawn's `create()` result); dropped on dispose. */
  readonly keepAlive?: unknown;
}

/** A device with typed errors, counters and caches. Every method throws {@link DeviceLostError} once the device is lost. */
export class Gpu {
  readonly adapter: AdapterSummary;
  /** For callers who encode into their own encoder. */
  readonly device: GPUDevice;
  /** What the device grants, which may be less than the adapter has. */
  readonly limits: GPUSupportedLimits;
  /** What the device grants, which may be less than the adapter has. */
  readonly features: ReadonlySet<string>;
  /** Limits and features as the kernels' strategies ask for them. */
  readonly kernelLimits: KernelLimits;
  readonly counters: Readonly<GpuCounters>;
  /** Resolves when the device is lost; never when it goes by {@link dispose}. */
  readonly lost: Promise<DeviceLostError>;
  /** The step being prepared or run, named in errors that have no better one. */
  currentStep: string | undefined;

  private readonly count: GpuCounters;
  private readonly owned: boolean;
  private readonly live = new Map<GPUBuffer, number>(); // sizes in bytes
  private readonly timers = new Set<GpuTimer>();
  private readonly pipelines: Pipelines;
  private readonly readback: Readback;
  private readonly listeners = new Set<(error: GpuError) => void>();
  private readonly pendingChecks = new Set<Promise<void>>();
  private remembered: GpuError[] = [];
  private loss: { readonly message: string; readonly step: string | undefined } | undefined;
  private keepAlive: unknown;
  private disposed = false;
  private scopeDepth = 0;

  constructor(parts: GpuParts) {
    this.device = parts.device;
    this.adapter = parts.adapter;
    this.owned = parts.owned;
    this.keepAlive = parts.keepAlive;
    this.limits = this.device.limits;
    this.features = new Set(this.device.features);
    const info = this.device.adapterInfo as GPUAdapterInfo | undefined; // older implementations lack it
    this.kernelLimits = {
      ...DEFAULT_LIMITS,
      ...limitsRecord(this.limits),
      features: this.features,
      subgroupMinSize: info?.subgroupMinSize,
      subgroupMaxSize: info?.subgroupMaxSize,
    };
    this.count = {
      buffersCreated: 0,
      buffersLive: 0,
      bytesLive: 0,
      bindGroupsCreated: 0,
      pipelinesCreated: 0,
      submits: 0,
    };
    this.counters = this.count;
    this.pipelines = new Pipelines(this.device, () => this.count.pipelinesCreated++);
    this.readback = new Readback({
      create: (sizeBytes) => this.createBuffer(sizeBytes, "readback", "readback staging"),
      destroy: (buffer) => this.destroyBuffer(buffer),
      maxBufferBytes: this.limits.maxBufferSize,
    });
    this.lost = new Promise((resolve) => {
      void this.device.lost.then((info) => {
        if (this.disposed) return;
        const reason = info.message || info.reason || "no reason given";
        this.loss = { message: `the GPU device was lost: ${reason}; create a new engine`, step: this.currentStep };
        resolve(new DeviceLostError(this.loss.message, this.loss.step));
      });
    });
    this.device.addEventListener("uncapturederror", this.onDeviceError);
  }

  /**
   * A zero-filled buffer of at least `sizeBytes`, rounded up to 16 bytes.
   * Throws {@link UnsupportedError} past `maxBufferSize`, {@link UsageError} for what is no size. That memory has run out
   * is known later: `scope`, `read` or `idle` then throw {@link OutOfMemoryError}.
   */
  createBuffer(sizeBytes: number, kind: BufferKind, label: string): GPUBuffer {
    this.check();
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
      throw new UsageError(`createBuffer: ${sizeBytes} bytes for ${label}; expected a whole number, 0 or more`);
    const size = Math.max(bufferAlignment, Math.ceil(sizeBytes / bufferAlignment) * bufferAlignment);
    if (size > this.limits.maxBufferSize)
      throw new UnsupportedError(
        `createBuffer: ${label} needs ${size} bytes, and ${this.adapter.name} allows ${this.limits.maxBufferSize} ` +
          `a buffer (maxBufferSize); use a smaller batch`,
      );
    const buffer = this.checked(`creating buffer ${label}`, () =>
      this.device.createBuffer({ size, usage: usagesOf[kind], label }),
    );
    this.live.set(buffer, size);
    this.count.buffersCreated++;
    this.count.buffersLive++;
    this.count.bytesLive += size;
    return buffer;
  }

  /** Frees a buffer made here; a second call, or someone else's buffer, is ignored. */
  destroyBuffer(buffer: GPUBuffer): void {
    const size = this.live.get(buffer);
    if (size === undefined) return;
    this.live.delete(buffer);
    this.count.buffersLive--;
    this.count.bytesLive -= size;
    buffer.destroy();
  }

  /**
   * The compiled kernel of `wgsl` (entry point `main`), made once per text, layout and constants. Rejects with
   * {@link GpuValidationError} naming the label, the compiler's message and the source lines it points at, and with
   * {@link UnsupportedError} when the device allows fewer storage buffers.
   */
  async pipeline(
    wgsl: string,
    label: string,
    layout: KernelLayout,
    constants: Readonly<Record<string, number>> = {},
  ): Promise<GpuPipeline> {
    this.check();
    try {
      return await this.pipelines.get(wgsl, label, layout, constants);
    } catch (error) {
      await this.throwIfLosing(error);
      throw error;
    }
  }

  /** Binds buffers to `group` (0: storage, 1: uniforms) of `pipeline` and of all others with an equal layout. */
  bindGroup(pipeline: GpuPipeline, group: number, entries: readonly BufferBinding[], label: string): GPUBindGroup {
    this.check();
    const layout = pipeline.bindGroupLayouts[group];
    if (layout === undefined) throw new UsageError(`bindGroup: ${pipeline.label} has no group ${group} (${label})`);
    for (const { binding, buffer, offset = 0, size = buffer.size - offset } of entries) {
      const name = group === 0 ? "maxStorageBufferBindingSize" : "maxUniformBufferBindingSize";
      if (size > this.limits[name])
        throw new UnsupportedError(
          `bindGroup: binding ${binding} of ${label} spans ${size} bytes, and ${this.adapter.name} allows ` +
            `${this.limits[name]} (${name}); use a smaller batch`,
        );
    }
    const bindGroup = this.checked(`binding ${label}`, () =>
      this.device.createBindGroup({
        label,
        layout,
        entries: entries.map(({ binding, buffer, offset = 0, size }) => ({
          binding,
          resource: size === undefined ? { buffer, offset } : { buffer, offset, size },
        })),
      }),
    );
    this.count.bindGroupsCreated++;
    return bindGroup;
  }

  /** Queues a copy of `data` into `buffer`. Offset and length are multiples of 4 bytes; else {@link UsageError}. */
  write(buffer: GPUBuffer, data: ArrayBufferView, offsetBytes = 0): void {
    this.check();
    const { byteLength } = data;
    if (byteLength % writeAlignment !== 0 || offsetBytes % writeAlignment !== 0)
      throw new UsageError(
        `write: ${byteLength} bytes at offset ${offsetBytes}; both must be multiples of ${writeAlignment}`,
      );
    if (offsetBytes < 0 || offsetBytes + byteLength > buffer.size)
      throw new UsageError(
        `write: ${byteLength} bytes at offset ${offsetBytes} do not fit ${buffer.label || "the buffer"}, ` +
          `which has ${buffer.size} bytes`,
      );
    if (byteLength === 0) return;
    this.checked(`writing ${buffer.label}`, () =>
      this.device.queue.writeBuffer(buffer, offsetBytes, data.buffer, data.byteOffset, byteLength),
    );
  }

  /**
   * The bytes of several buffer ranges, in order. Copies them into one pooled staging buffer, in one submit with one
   * mapping; equal reads create nothing after the first. An `encoder` given is finished and submitted with the copies
   * at its end, so that a whole run is one submit. Throws what went wrong since the last read or idle.
   */
  async read(sources: readonly ReadSource[], encoder?: GPUCommandEncoder): Promise<ArrayBuffer[]> {
    this.check();
    const reading = this.readback.begin(sources);
    const step = this.currentStep ?? "reading back";
    let bytes: ArrayBuffer[] | undefined;
    let failure: GpuError | undefined;
    try {
      const { error } = this.capture(step, () => {
        const commands = encoder ?? this.device.createCommandEncoder({ label: "readback" });
        reading.encode(commands);
        this.device.queue.submit([commands.finish()]);
        this.count.submits++;
      });
      const mapped = reading.finish();
      mapped.catch(() => undefined); // the scopes' error, if there is one, explains it better
      failure = await error;
      if (failure === undefined) bytes = await mapped;
    } catch (cause) {
      failure = new GpuError(`reading back failed: ${messageOf(cause)}`, step, { cause });
    }
    reading.end(bytes !== undefined);
    if (failure !== undefined) {
      await this.throwIfLosing(failure);
      this.remembered.push(failure); // behind earlier ones, which may be its cause
    }
    await this.settleChecks();
    return bytes ?? [];
  }

  /** Prepares for `count` reads of `sizeBytes` in all that overlap: they then create nothing. */
  reserveReads(sizeBytes: number, count: number): void {
    this.check();
    this.readback.reserve(sizeBytes, count);
  }

  /** Records one command buffer with `encode` and submits it. Errors surface in the next `read` or `idle`, or `scope`. */
  submit(label: string, encode: (encoder: GPUCommandEncoder) => void): void {
    this.check();
    this.checked(label, () => {
      const encoder = this.device.createCommandEncoder({ label });
      encode(encoder);
      this.device.queue.submit([encoder.finish({ label })]);
    });
    this.count.submits++;
  }

  /** A timer for up to `capacity` compute passes, or `undefined` where the device has no `timestamp-query`. */
  async createTimer(capacity: number): Promise<GpuTimer | undefined> {
    this.check();
    if (!this.features.has("timestamp-query")) return undefined;
    const { GpuTimer } = await import("./timer.ts"); // pages that never measure do not load it
    const timer = new GpuTimer(this, capacity, () => this.timers.delete(timer));
    this.timers.add(timer);
    return timer;
  }

  /**
   * Runs `work` for `step` and throws what WebGPU says against it, typed and naming the step. Covered is what `work` does
   * before its first await (scopes are shared by the whole device); what it does later surfaces in `read` or `idle`.
   */
  async scope<T>(step: string | undefined, work: () => T | Promise<T>): Promise<T> {
    this.check();
    const outerStep = this.currentStep;
    this.currentStep = step ?? outerStep;
    try {
      const { value, error } = this.capture(this.currentStep, work);
      const settled = await Promise.allSettled([value]);
      const failure = await error;
      if (failure !== undefined) {
        await this.throwIfLosing(failure);
        throw failure;
      }
      if (settled[0].status === "rejected") throw settled[0].reason;
      this.throwIfLost();
      return settled[0].value;
    } finally {
      if (this.currentStep === step) this.currentStep = outerStep;
    }
  }

  /** Throws {@link DeviceLostError} if the device is known to be lost. */
  throwIfLost(): void {
    if (this.loss !== undefined) throw new DeviceLostError(this.loss.message, this.loss.step ?? this.currentStep);
  }

  /**
   * Calls `listener` for every error nobody caught, instead of remembering it for the next `read` or `idle`. On a borrowed
   * device that includes its owner's errors. Returns the way to stop.
   */
  onUncapturedError(listener: (error: GpuError) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Waits until the GPU has done all that was submitted, then throws the first error since the last read or idle. */
  async idle(): Promise<void> {
    this.check();
    try {
      await this.device.queue.onSubmittedWorkDone();
    } catch (cause) {
      await this.throwIfLosing(cause);
      throw new GpuError(`waiting for the GPU failed: ${messageOf(cause)}`, this.currentStep, { cause });
    }
    this.throwIfLost();
    await this.settleChecks();
  }

  /** Frees every buffer made here, and the device if Neurite requested it; Node can then exit. Later calls do nothing. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const timer of this.timers) timer.destroy();
    for (const buffer of [...this.live.keys()]) this.destroyBuffer(buffer);
    this.device.removeEventListener("uncapturederror", this.onDeviceError);
    this.listeners.clear();
    if (this.owned) this.device.destroy();
    this.keepAlive = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** True once disposed. */
  get isDisposed(): boolean {
    return this.disposed;
  }

  private check(): void {
    if (this.disposed) throw new UsageError("this Gpu was disposed; create a new engine");
    this.throwIfLost();
  }

  private readonly onDeviceError = (event: GPUUncapturedErrorEvent): void => {
    if (this.owned || this.listeners.size > 0) this.report(uncapturedError(event.error, this.currentStep));
  };

  private report(error: GpuError): void {
    if (this.listeners.size === 0) this.remembered.push(error);
    for (const listener of this.listeners) listener(error);
  }

  /** Runs synchronous `work` in error scopes, unless already in some, and reports what they catch. */
  private checked<T>(step: string, work: () => T): T {
    if (this.scopeDepth > 0) return work();
    const { value, error } = this.capture(this.currentStep ?? step, work);
    const check = error.then((caught) => {
      this.pendingChecks.delete(check);
      if (caught !== undefined) this.report(caught);
    });
    this.pendingChecks.add(check);
    return value;
  }

  /** Runs `work` in error scopes that are popped as soon as it returns; `error` never rejects. */
  private capture<T>(step: string | undefined, work: () => T): { value: T; error: Promise<GpuError | undefined> } {
    for (const filter of errorFilters) this.device.pushErrorScope(filter);
    this.scopeDepth++;
    let value: T;
    let errors: Promise<(GpuError | undefined)[]>;
    try {
      value = work();
    } finally {
      this.scopeDepth--;
      const popped = errorFilters.toReversed().map((filter) =>
        this.device.popErrorScope().then(
          (caught) => (caught === null ? undefined : gpuError(filter, caught.message, step)),
          () => undefined, // the device is lost, which is told elsewhere
        ),
      );
      errors = Promise.all(popped);
    }
    return { value, error: errors.then((caught) => caught.find((error) => error !== undefined)) };
  }

  /** Waits for the scopes of earlier calls, then throws the first error remembered. */
  private async settleChecks(): Promise<void> {
    await Promise.all(this.pendingChecks);
    this.throwIfLost();
    const [first, ...others] = this.remembered;
    this.remembered = [];
    if (first === undefined) return;
    if (others.length > 0) first.message += `\n(and ${others.length} more errors after it)`;
    throw first;
  }

  /**
   * Throws {@link DeviceLostError} if a loss is behind `failure`, giving the news a moment to arrive. A lost device raises
   * no validation errors, so those need no waiting.
   */
  private async throwIfLosing(failure: unknown): Promise<void> {
    if (!(failure instanceof GpuValidationError) && !(failure instanceof UnsupportedError)) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const grace = new Promise<void>((resolve) => (timer = setTimeout(resolve, lossGraceMs)));
      await Promise.race([this.lost, grace]);
      clearTimeout(timer);
    }
    this.throwIfLost();
  }
}
