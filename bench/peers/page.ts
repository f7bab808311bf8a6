// The page's side: loads one library (an adapter's module and its options) and runs it on request from run.ts. With cold=1
// it computes W8.b1 once, as soon as it can, and says how long that took from navigation.

import { dataOf, workload, type Arrays, type Sizes, type Workload } from "./workloads.ts";

type Result = Float32Array | readonly Float32Array[];

/** A workload made ready by a library; a handle is a result that may still lie on the GPU. */
interface Prepared {
  readonly run: () => unknown;
  /** To the host; frees the handle as well. */
  readonly read: (handle: unknown) => Result | Promise<Result>;
  readonly free: (handle: unknown) => void;
  readonly close?: () => void | Promise<void>;
  /** Free each result of a back-to-back series at once, so that its buffer can be used again. */
  readonly eagerFree?: boolean;
  /** Puts a result into the reference's order. */
  readonly canonical?: (result: Float32Array) => Float32Array;
  readonly note?: string;
}

interface Context {
  readonly id: string;
  readonly p: Sizes;
  readonly e2e: boolean;
  readonly data: Arrays;
  readonly modelUrl: string;
  readonly cold?: boolean;
}

interface Adapter {
  /** Tells what was loaded: versions, builds. */
  load(): Promise<unknown>;
  /** By row (`W10.softmax`) or family (`W1`). */
  readonly workloads: Readonly<Record<string, (context: Context) => Prepared | null | Promise<Prepared | null>>>;
}

export interface PreparedReport {
  readonly skip?: boolean;
  readonly error?: number | null;
  /** Runs of a back-to-back series. */
  readonly series: number;
  readonly warmMs: number;
  readonly note?: string | undefined;
}

export interface Sample {
  readonly latencyMs: number;
  readonly throughputMs: number;
}

export interface ColdReport {
  readonly timeMs?: number;
  readonly loadMs?: number;
  readonly failure?: string;
}

/** What run.ts calls in the page. */
export interface PeerPage {
  load(): Promise<unknown>;
  prepare(id: string, options: { readonly warmup: number; readonly budgetMs: number }): Promise<PreparedReport>;
  sample(series: number): Promise<Sample>;
  close(): Promise<void>;
}

const query = new URLSearchParams(location.search);
let adapter: Adapter;
let current: Prepared | null = null;

const context = (of: Workload): Context => {
  const { id, p, e2e = false } = of;
  return { id, p, e2e, data: dataOf(of), modelUrl: `/model/${id}.onnx` };
};
const maker = ({ id }: Workload): Adapter["workloads"][string] | undefined =>
  adapter.workloads[id] ?? adapter.workloads[id.split(".")[0]!];
const importAdapter = async (): Promise<Adapter> => {
  const url = `./adapters/${query.get("module")}`;
  const { makeAdapter } = (await import(url)) as { makeAdapter: (options: unknown) => Adapter };
  return makeAdapter(JSON.parse(query.get("options") ?? "{}"));
};
const prepared = (): Prepared => {
  if (current === null) throw new Error("nothing is prepared");
  return current;
};

/** Milliseconds a run: `series` of them are issued, then one is read. */
async function throughput(series: number): Promise<number> {
  const { run, read, free, eagerFree } = prepared();
  const handles: unknown[] = [];
  const startMs = performance.now();
  for (let i = 0; i < series; i++) {
    const handle = await run();
    if (eagerFree && i < series - 1) free(handle);
    else handles.push(handle);
  }
  await read(handles.pop());
  const timeMs = (performance.now() - startMs) / series;
  for (const handle of handles) free(handle);
  return timeMs;
}

async function latency(): Promise<number> {
  const startMs = performance.now();
  await prepared().read(await prepared().run());
  return performance.now() - startMs;
}

/** max |y - reference| / max |reference|; null where there is no reference. */
async function errorOf({ id, runs = 1, reference }: Workload): Promise<number | null> {
  const { run, read, canonical } = prepared();
  const parts: number[] = [];
  for (let i = 0; i < runs; i++)
    for (const array of [await read(await run())].flat()) for (const value of array) parts.push(value);
  if (!reference) return null;
  const raw = Float32Array.from(parts);
  const result = canonical ? canonical(raw) : raw;
  const expected = new Float64Array(await (await fetch(`/reference/${id}.bin`)).arrayBuffer());
  if (expected.length !== result.length) throw new Error(`${result.length} elements, expected ${expected.length}`);
  let error = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]!));
    const off = Math.abs(result[i]! - expected[i]!);
    if (!(off <= error)) error = off; // NaN counts as an error
  }
  return error / largest;
}

const peerPage: PeerPage = {
  async load() {
    adapter = await importAdapter();
    return adapter.load();
  },
  async prepare(id, { warmup, budgetMs }) {
    const one = workload(id);
    current = (await maker(one)?.(context(one))) ?? null;
    if (current === null) return { skip: true, series: 0, warmMs: 0 };
    const error = await errorOf(one);
    let warmMs = Infinity;
    for (let i = 0; i < warmup; i++) warmMs = Math.min(warmMs, await latency());
    const series = warmMs > 1000 ? 1 : Math.max(2, Math.min(50, Math.round(budgetMs / warmMs)));
    if (series > 1) await throughput(Math.min(series, 4)); // warms the buffer pools of the back-to-back way
    return { error, series, warmMs, note: current.note };
  },
  async sample(series) {
    const latencyMs = await latency();
    return { latencyMs, throughputMs: series > 1 ? await throughput(series) : latencyMs };
  },
  async close() {
    await current?.close?.();
    current = null;
  },
};

async function coldStart(): Promise<ColdReport> {
  try {
    const one = workload("W8.b1");
    const startMs = performance.now();
    const given = context(one);
    const dataMs = performance.now() - startMs; // making up the data is not the library's
    adapter = await importAdapter();
    await adapter.load();
    const loadMs = performance.now() - dataMs;
    const made = await maker(one)?.({ ...given, cold: true });
    if (!made) return { failure: "it does not run W8" };
    const result = [await made.read(await made.run())].flat();
    const timeMs = performance.now() - dataMs;
    if (result[0]?.length !== 10) return { failure: `${result[0]?.length} numbers instead of 10` };
    return { timeMs, loadMs };
  } catch (error) {
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

Object.assign(globalThis, { peerPage });
if (query.has("cold")) Object.assign(globalThis, { cold: await coldStart() });
