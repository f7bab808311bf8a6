// Which tensors take less than a word an element. What the host writes and only kernels read (constants, inputs) is packed:
// by type, so that an int8 is a byte, and large constants of wider types by value, where a narrower type holds every
// element exactly. What kernels write stays in words, except for float16 on adapters with `shader-f16`, where it is an
// array of halves. Outputs, variables and whatever is copied are words always, so that what a caller's buffer holds does
// not depend on the adapter. Loaded only where a graph has something to gain.

import { dtypes, LARGE_CONSTANT, type DType, type TypedArray } from "../core/dtype.ts";
import { pacer } from "../core/pause.ts";
import { sizeOf } from "../core/shape.ts";
import {
  NarrowestStorage,
  pack,
  packFor,
  storageBytes,
  storageOfType,
  unpack,
  type Packing,
  type Storage,
} from "../core/storage.ts";
import type { Graph, Value } from "../graph/graph.ts";
import type { Group } from "../graph/passes/fuse.ts";
import type { AssembledKernel } from "../../shaders/assemble.ts";
import { withStorage } from "../../shaders/storage.ts";
import type { AnyStrategy, KernelLimits } from "../../shaders/strategy.ts";

/** What plans and executors need where some value is narrow. */
export interface StorageOf {
  /** How the elements of a root value are stored; undefined for words. */
  of(root: Value): Storage | undefined;
  /** Bytes of a root value; undefined for words. */
  sizeBytes(root: Value): number | undefined;
  /** The kernel whose bindings hold these root values. */
  apply(kernel: AssembledKernel, roots: readonly Value[]): AssembledKernel;
  /** Bytes that must move and that the strategy says it moves, given what they would be if all were words. */
  moved(group: Group, bound: readonly Value[], words: Moved): Moved;
  readonly packing: Packing;
}

/** Bytes of a step. */
interface Moved {
  readonly bytes: number;
  readonly trafficBytes: number;
}

/** Elements that are looked through between two looks at the clock. */
const SCANNED_AT_ONCE = 2 ** 18;

/** What was found for constants that cannot change: plans for other shapes ask again. */
const found = new WeakMap<TypedArray, { readonly storage: Storage | undefined }>();

/** Decides for all values of a graph. `rootOf` is the value whose buffer a value shares. */
export async function chooseStorage(
  graph: Graph,
  groups: readonly Group[],
  rootOf: (value: Value) => Value,
  families: ReadonlyMap<string, readonly AnyStrategy[]>,
  limits: KernelLimits,
): Promise<StorageOf> {
  const words = new Set([...graph.outputs.values(), ...graph.updates.values()].map(rootOf));
  const chosen = new Map<Value, Storage>();
  const choose = (value: Value, storage: Storage | undefined): void => {
    if (storage && !words.has(value) && sizeOf(value.shape) > 0) chosen.set(value, storage);
  };
  for (const value of graph.inputs.values()) choose(value, storageOfType(value.dtype));
  for (const [value, constant] of graph.constants) {
    let storage = storageOfType(value.dtype);
    if (!storage && !constant.read && sizeOf(value.shape) >= LARGE_CONSTANT) {
      const { data, immutable } = constant;
      storage = (found.get(data) ?? { storage: await narrowest(data, value.dtype) }).storage;
      if (immutable) found.set(data, { storage });
    }
    choose(value, storage);
  }
  if (limits.features?.has("shader-f16"))
    for (const { anchor, outputs } of groups) {
      if (anchor && families.get(anchor.operator.name)!.some(({ readsOutputs }) => readsOutputs)) continue;
      for (const value of outputs) if (value.dtype === "float16") choose(value, "half");
    }
  const bytesOf = (value: Value): number => {
    const storage = chosen.get(rootOf(value));
    return storage ? storageBytes(sizeOf(value.shape), storage) : wordBytesOf(value);
  };
  return {
    of: (root) => chosen.get(root),
    sizeBytes: (root) => {
      const storage = chosen.get(root);
      return storage && storageBytes(sizeOf(root.shape), storage);
    },
    apply: (kernel, roots) => {
      const bindings = roots.map((root) => {
        const storage = chosen.get(root);
        return storage && { storage, dtype: root.dtype };
      });
      return bindings.some(Boolean) ? withStorage(kernel, bindings) : kernel;
    },
    moved: ({ nodes, inputs, outputs }, bound, words) => ({
      bytes:
        nodes.length === 1 && nodes[0]!.operator.minimumBytes ? words.bytes : sum([...inputs, ...outputs], bytesOf),
      trafficBytes: (words.trafficBytes * sum(bound, bytesOf)) / Math.max(1, sum(bound, wordBytesOf)),
    }),
    packing: { storageBytes, pack, packFor, unpack },
  };
}

const wordBytesOf = ({ shape, dtype }: Value): number => sizeOf(shape) * dtypes[dtype].sizeBytes;

function sum(values: readonly Value[], bytesOf: (value: Value) => number): number {
  return [...new Set(values)].reduce((total, value) => total + bytesOf(value), 0);
}

async function narrowest(data: TypedArray, dtype: DType): Promise<Storage | undefined> {
  const search = new NarrowestStorage(dtype);
  const breathe = pacer();
  for (let at = 0; at < data.length; at += SCANNED_AT_ONCE) {
    if (!search.add(data.subarray(at, at + SCANNED_AT_ONCE))) return undefined;
    await breathe();
  }
  return search.storage;
}
