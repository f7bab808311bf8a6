// Every error Neurite throws on purpose. Messages say who complains, what was expected, what came, and the way out.

/** Base of all errors thrown on purpose; `instanceof NeuriteError` separates them from bugs. */
export class NeuriteError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Shapes, axes or attributes that do not fit together. */
export class ShapeError extends NeuriteError {}

/** An element type an operator does not accept. */
export class DTypeError extends NeuriteError {}

/** Something valid that this build, adapter or strategy cannot do. */
export class UnsupportedError extends NeuriteError {}

/** A call with wrong arguments: a missing input, an unknown name, a disposed object. */
export class UsageError extends NeuriteError {}

/** A file that is not what it claims to be, or is damaged. */
export class FormatError extends NeuriteError {}

/** No WebGPU, no adapter, or no device; the message names what to install. */
export class DeviceUnavailableError extends NeuriteError {}

/** An error WebGPU reported while `step` was being prepared or run. */
export class GpuError extends NeuriteError {
  /** The plan step at work, e.g. `#12 Conv (conv1)`, when known. */
  readonly step: string | undefined;
  constructor(message: string, step?: string, options?: ErrorOptions) {
    super(step === undefined ? message : `${message} (while running ${step})`, options);
    this.step = step;
  }
}

/** WGSL that did not compile or a dispatch that did not validate. */
export class GpuValidationError extends GpuError {}

/** The device ran out of memory. */
export class OutOfMemoryError extends GpuError {}

/** The device is gone; create a new engine. */
export class DeviceLostError extends GpuError {}

/** The message of anything thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Throws the signal's reason if it has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  signal?.throwIfAborted();
}
