// What training asks of a dataset, and the order in which it asks: everything here is a function of (seed, epoch), so a
// run can be repeated exactly.

import { Random } from "../core/random.ts";
import type { TensorType } from "../core/shape.ts";
import type { TensorData } from "../core/tensorData.ts";

/** Several examples: x [N, …] and y [N, …]. */
export interface Batch {
  readonly x: TensorData;
  readonly y: TensorData;
}

/** Examples to train on or to evaluate with. `arrayDataset` makes one of typed arrays. */
export interface Dataset {
  /** Number of examples. */
  readonly length: number;
  /** Type of one example's input, without the batch axis. */
  readonly x: TensorType;
  /** Type of one example's target, without the batch axis; a class label has shape []. */
  readonly y: TensorType;
  /** The examples at `indices`, in that order, copied into new arrays. */
  batch(indices: Uint32Array): Batch | Promise<Batch>;
}

/** Streams of shuffles lie away from those of parameters, which share the seed. */
const SHUFFLE_STREAM = 0x73687566;

/** The order of an epoch: 0, 1, 2 … without a seed, else a permutation that (seed, epoch) decides. */
export function epochOrder(length: number, seed: number | undefined, epoch: number): Uint32Array {
  if (seed === undefined) return Uint32Array.from({ length }, (_, i) => i);
  return new Random(seed, SHUFFLE_STREAM + epoch).permutation(length);
}

/** Cuts an order into batches; the last one may be smaller, or is left out. */
export function cutIntoBatches(order: Uint32Array, batchSize: number, dropLast: boolean): Uint32Array[] {
  const count = dropLast ? Math.floor(order.length / batchSize) : Math.ceil(order.length / batchSize);
  return Array.from({ length: count }, (_, i) => order.subarray(i * batchSize, (i + 1) * batchSize));
}
