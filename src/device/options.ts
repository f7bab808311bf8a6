// What a caller may wish for when a device is acquired, wherever it is found.

/** How to find a device. Everything is optional. */
export interface DeviceOptions {
  /** A device to work on. It stays the caller's: `dispose` leaves it alive. */
  device?: GPUDevice;
  /** An adapter to request the device from. */
  adapter?: GPUAdapter;
  /** `"high-performance"` by default. */
  powerPreference?: GPUPowerPreference;
  /** Forces a driver that runs on the CPU: slow, but the same on every machine. */
  software?: boolean;
  /** Asks for WebGPU's default limits instead of the adapter's own; for tests. */
  minimumLimits?: boolean;
  /** Takes the line that tells of a software driver; `console.warn`, once a process, by default. */
  log?: (line: string) => void;
}

/** An adapter, and what must live as long as its device. */
export interface FoundAdapter {
  readonly adapter: GPUAdapter;
  readonly keepAlive?: unknown;
}

/** What to ask `requestAdapter` for. */
export function adapterRequest(options: DeviceOptions): GPURequestAdapterOptions {
  return options.software === true
    ? { forceFallbackAdapter: true }
    : { powerPreference: options.powerPreference ?? "high-performance" };
}
