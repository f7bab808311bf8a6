// What the page of bench/models.ts does: runs one model with Neurite or with ONNX Runtime Web when told to. Each library
// has a page of its own in the same browser, so that neither waits for the other's work.

import { createEngine, type OnnxInputs } from "neurite";

interface Tensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | BigInt64Array;
}
export type Tensors = Record<string, Tensor>;

export interface Contender {
  /** Runs once and reads all outputs back; milliseconds. */
  run(inputs: Tensors): Promise<{ timeMs: number; outputs: Tensors }>;
}

interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  getData(): Promise<Tensor["data"]>;
}
/** As much of onnxruntime-web as is used. */
interface Ort {
  readonly env: { readonly wasm: { wasmPaths: string; numThreads: number } };
  readonly InferenceSession: {
    create(url: string, options: object): Promise<{ run(feeds: object): Promise<Record<string, OrtTensor>> }>;
  };
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
}

async function neurite(url: string): Promise<Contender> {
  const engine = await createEngine();
  const model = await engine.load(url);
  return {
    run: async (inputs) => {
      const startMs = performance.now();
      const outputs = await model.run(inputs as OnnxInputs);
      return { timeMs: performance.now() - startMs, outputs: outputs as Tensors };
    },
  };
}

async function onnxRuntime(url: string): Promise<Contender> {
  const at = "/ort/ort.webgpu.bundle.min.mjs";
  const ort = (await import(/* @vite-ignore */ at)) as Ort;
  ort.env.wasm.wasmPaths = "/ort/";
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(url, { executionProviders: ["webgpu"] });
  return {
    run: async (inputs) => {
      const startMs = performance.now();
      const feeds = Object.fromEntries(
        Object.entries(inputs).map(([name, { dtype, shape, data }]) => [name, new ort.Tensor(dtype, data, shape)]),
      );
      const results = Object.entries(await session.run(feeds));
      const outputs: Tensors = {};
      for (const [name, tensor] of results)
        outputs[name] = { dtype: tensor.type, shape: tensor.dims, data: await tensor.getData() };
      return { timeMs: performance.now() - startMs, outputs };
    },
  };
}

const parameters = new URLSearchParams(location.search);
const contender = parameters.get("library") === "ort" ? onnxRuntime : neurite;

async function readInputs(): Promise<Tensors> {
  const listed = (await (await fetch("/inputs.json")).json()) as Record<
    string,
    Omit<Tensor, "data"> & { text: string }
  >;
  const arrays = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array };
  return Object.fromEntries(
    Object.entries(listed).map(([name, { dtype, shape, text }]) => {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      return [name, { dtype, shape, data: new arrays[dtype as keyof typeof arrays](bytes.buffer) }];
    }),
  );
}

/** Milliseconds from navigation to the first result, then what later runs need. */
const inputs = await readInputs();
const chosen = await contender("/model.onnx");
const first = await chosen.run(inputs);
const plain = (tensors: Tensors): object =>
  Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, Array.from(data, Number)]));
Object.assign(globalThis, {
  bench: {
    coldMs: performance.now(),
    outputs: plain(first.outputs),
    run: async () => (await chosen.run(inputs)).timeMs,
  },
});
