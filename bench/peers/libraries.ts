// The columns of the comparison: Neurite, its peers, and handwritten kernels without a library ("raw"), which show what
// the device gives. Each is a module of adapters/ with options.

export interface Library {
  /** Module in adapters/. */
  readonly module: string;
  readonly options?: Readonly<Record<string, unknown>>;
  /** `peer` on WebGPU, the same on `wasm`, or a `raw` baseline that is nobody's rival. */
  readonly kind: "neurite" | "peer" | "wasm" | "raw";
}

const nchw = { name: "webgpu", preferredLayout: "NCHW" };

export const libraries: Readonly<Record<string, Library>> = {
  neurite: { module: "neurite.mjs", kind: "neurite" },
  "jax-webgpu": { module: "jax.mjs", options: { device: "webgpu" }, kind: "peer" },
  "ort-webgpu-nchw": { module: "ort.mjs", options: { entry: "ort.webgpu.min.mjs", provider: nchw }, kind: "peer" },
  "ort-webgpu": { module: "ort.mjs", options: { entry: "ort.webgpu.min.mjs", provider: "webgpu" }, kind: "peer" },
  "tfjs-webgpu": { module: "tfjs.mjs", options: { backend: "webgpu" }, kind: "peer" },
  "raw-direct": { module: "raw.mjs", options: { kind: "direct" }, kind: "raw" },
  "raw-reg": { module: "raw.mjs", options: { kind: "reg" }, kind: "raw" },
  "raw-naive": { module: "raw.mjs", options: { kind: "naive" }, kind: "raw" },
  "raw-tiled": { module: "raw.mjs", options: { kind: "tiled" }, kind: "raw" },
  "raw-subgroup": { module: "raw.mjs", options: { kind: "subgroup" }, kind: "raw" },
  "ort-webgpu-jspi": { module: "ort.mjs", options: { entry: "ort.jspi.min.mjs", provider: "webgpu" }, kind: "peer" },
  "ort-jsep": { module: "ort.mjs", options: { entry: "ort.all.min.mjs", provider: "webgpu" }, kind: "peer" },
  "ort-wasm": { module: "ort.mjs", options: { entry: "ort.wasm.min.mjs", provider: "wasm", threads: 2 }, kind: "wasm" },
  "ort-wasm-1t": { module: "ort.mjs", options: { entry: "ort.wasm.min.mjs", provider: "wasm" }, kind: "wasm" },
  "tfjs-wasm": { module: "tfjs.mjs", options: { backend: "wasm" }, kind: "wasm" },
  "jax-wasm": { module: "jax.mjs", options: { device: "wasm" }, kind: "wasm" },
};

/** Those that take part when none are named. */
export const usual = Object.keys(libraries).slice(0, 7);
