// Gives every intermediate tensor a place in a buffer by lifetime. Two tensors may have the same bytes if no step needs
// both. They may share a buffer side by side if, besides, no dispatch binds both while it writes one of them: WebGPU lets a
// buffer that a dispatch writes be bound only once in it. Placing is packing, so several greedy orders are tried and the
// smallest total kept; seeded shuffles help where the orders are unlucky.

import { Random } from "../core/random.ts";

/** A tensor to be placed, alive from the step that writes it to the last that reads it, both included. */
export interface Lifetime {
  readonly sizeBytes: number;
  readonly firstStep: number;
  readonly lastStep: number;
  /** Tensors (by index) that must be in another buffer: bound together in a dispatch that writes one of the two. */
  readonly apartFrom?: ReadonlySet<number>;
}

export interface Place {
  readonly buffer: number;
  readonly offsetBytes: number;
}

export interface Assignment {
  /** Place of each tensor, in the order given. */
  readonly places: readonly Place[];
  readonly bufferSizes: readonly number[];
  readonly totalBytes: number;
  /** The largest sum of sizes alive at one step. */
  readonly liveBytes: number;
}

const MOST_SHUFFLES = 200;
/** Comparisons of two tensors that shuffling may take: a packing makes about as many as tensors squared, while a page waits. */
const SHUFFLING_WORK = 500_000;
const CLOSE_ENOUGH = 1.02;
/** What every WebGPU device accepts as an offset of a storage binding. */
const OFFSET_ALIGNMENT_BYTES = 256;

/** Places tensors; deterministic. */
export function assignBuffers(tensors: readonly Lifetime[]): Assignment {
  const liveBytes = largestLiveSum(tensors);
  const indices = tensors.map((_, i) => i);
  const size = (i: number): number => tensors[i]!.sizeBytes;
  const start = (i: number): number => tensors[i]!.firstStep;
  const length = (i: number): number => tensors[i]!.lastStep - start(i);
  const orders = [
    [...indices].sort((a, b) => size(b) - size(a) || start(a) - start(b)),
    [...indices].sort((a, b) => start(a) - start(b) || size(b) - size(a)),
    [...indices].sort((a, b) => size(b) * length(b) - size(a) * length(a) || start(a) - start(b)),
  ];
  let best: Omit<Assignment, "liveBytes"> | undefined;
  const attempt = (order: readonly number[]): void => {
    const packing = pack(tensors, order);
    if (!best || packing.totalBytes < best.totalBytes) best = packing;
  };
  orders.forEach(attempt);
  const random = new Random(tensors.length, 0x6d656d);
  const shuffles = Math.min(MOST_SHUFFLES, SHUFFLING_WORK / tensors.length ** 2);
  for (let i = 0; i < shuffles && best!.totalBytes > CLOSE_ENOUGH * liveBytes; i++)
    attempt(jitter(orders[i % orders.length]!, random));
  return { ...best!, liveBytes };
}

interface Resident extends Lifetime {
  readonly index: number;
  readonly offsetBytes: number;
}

/** First-come packing: each tensor goes where it makes least growth, into a new buffer if that is no worse. */
function pack(tensors: readonly Lifetime[], order: readonly number[]): Omit<Assignment, "liveBytes"> {
  const places = new Array<Place>(tensors.length);
  const bufferSizes: number[] = [];
  const residents: Resident[][] = [];
  const largest = Math.max(0, ...tensors.map(({ sizeBytes }) => sizeBytes));
  for (const index of order) {
    const tensor = tensors[index]!;
    let place: Place = { buffer: bufferSizes.length, offsetBytes: 0 };
    let leastGrowth = tensor.sizeBytes;
    let leastSlack = Infinity;
    residents.forEach((others, buffer) => {
      const neighbours = others.filter((other) => overlaps(other, tensor));
      if (neighbours.some((other) => tensor.apartFrom?.has(other.index))) return;
      const { offsetBytes, slackBytes } = bestGap(neighbours, tensor.sizeBytes, bufferSizes[buffer]!);
      if (offsetBytes + tensor.sizeBytes > largest) return; // no buffer grows past what the device is known to allow
      const growth = Math.max(0, offsetBytes + tensor.sizeBytes - bufferSizes[buffer]!);
      if (growth > leastGrowth || (growth === leastGrowth && (growth === tensor.sizeBytes || slackBytes >= leastSlack)))
        return;
      place = { buffer, offsetBytes };
      leastGrowth = growth;
      leastSlack = slackBytes;
    });
    const { buffer, offsetBytes } = place;
    places[index] = place;
    bufferSizes[buffer] = Math.max(bufferSizes[buffer] ?? 0, offsetBytes + tensor.sizeBytes);
    (residents[buffer] ??= []).push({ ...tensor, index, offsetBytes });
  }
  return { places, bufferSizes, totalBytes: bufferSizes.reduce((sum, bytes) => sum + bytes, 0) };
}

/** The tightest gap between neighbours that holds `sizeBytes`, else the place after the last of them. */
function bestGap(
  neighbours: readonly Resident[],
  sizeBytes: number,
  bufferBytes: number,
): { offsetBytes: number; slackBytes: number } {
  let end = 0;
  let best: { offsetBytes: number; slackBytes: number } | undefined;
  const consider = (limit: number): void => {
    const slackBytes = limit - end - sizeBytes;
    if (slackBytes >= 0 && (!best || slackBytes < best.slackBytes)) best = { offsetBytes: end, slackBytes };
  };
  for (const neighbour of [...neighbours].sort((a, b) => a.offsetBytes - b.offsetBytes)) {
    consider(neighbour.offsetBytes);
    const after = neighbour.offsetBytes + neighbour.sizeBytes;
    end = Math.max(end, Math.ceil(after / OFFSET_ALIGNMENT_BYTES) * OFFSET_ALIGNMENT_BYTES);
  }
  consider(bufferBytes);
  return best ?? { offsetBytes: end, slackBytes: 0 };
}

function overlaps(a: Lifetime, b: Lifetime): boolean {
  return a.firstStep <= b.lastStep && b.firstStep <= a.lastStep;
}

/** The order with neighbours swapped at random. */
function jitter(order: readonly number[], random: Random): number[] {
  const keyed = order.map((index, rank) => ({ index, key: rank + random.uniform() * 8 }));
  return keyed.sort((a, b) => a.key - b.key).map(({ index }) => index);
}

function largestLiveSum(tensors: readonly Lifetime[]): number {
  const change = new Map<number, number>();
  for (const { sizeBytes, firstStep, lastStep } of tensors) {
    change.set(firstStep, (change.get(firstStep) ?? 0) + sizeBytes);
    change.set(lastStep + 1, (change.get(lastStep + 1) ?? 0) - sizeBytes);
  }
  let live = 0;
  let largest = 0;
  for (const [, bytes] of [...change].sort(([a], [b]) => a - b)) {
    live += bytes;
    largest = Math.max(largest, live);
  }
  return largest;
}
