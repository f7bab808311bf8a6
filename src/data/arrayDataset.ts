// Datasets held in memory, and their division into parts that share it.

import { dtypeOf, dtypes, type DType, type TypedArray } from "../core/dtype.ts";
import { ShapeError, UsageError } from "../core/errors.ts";
import { Random } from "../core/random.ts";
import { formatShape, sizeOf, type Shape } from "../core/shape.ts";
import type { TensorData } from "../core/tensorData.ts";
import type { Batch, Dataset } from "../train/dataset.ts";

export interface ArrayDatasetOptions {
  /** Inputs of all examples, one after another, row-major. */
  readonly x: TypedArray;
  /** Shape of one example's input. */
  readonly xShape: Shape;
  /** Targets: class labels (Uint32Array, Int32Array) or numbers (Float32Array). */
  readonly y: TypedArray;
  /** Shape of one example's target. Default []: one number. */
  readonly yShape?: Shape;
}

/**
 * A dataset of typed arrays, which are not copied. Throws ShapeError when the arrays do not hold equally many examples.
 *
 * @example
 * const xor = arrayDataset({ x: Float32Array.of(0, 0, 0, 1, 1, 0, 1, 1), xShape: [2], y: Uint32Array.of(0, 1, 1, 0) });
 */
export function arrayDataset({ x, xShape, y, yShape = [] }: ArrayDatasetOptions): Dataset {
  const length = exampleCount("x", x, xShape);
  if (exampleCount("y", y, yShape) !== length)
    throw new ShapeError(
      `arrayDataset: x holds ${length} examples of ${formatShape(xShape)}, y ${exampleCount("y", y, yShape)} of ${formatShape(yShape)}`,
    );
  const xRows = new Rows(x, xShape);
  const yRows = new Rows(y, yShape);
  return {
    length,
    x: { dtype: xRows.dtype, shape: xShape },
    y: { dtype: yRows.dtype, shape: yShape },
    batch: (indices): Batch => ({ x: xRows.gather(indices), y: yRows.gather(indices) }),
  };
}

function exampleCount(name: string, data: TypedArray, shape: Shape): number {
  const size = sizeOf(shape);
  const count = data.length / size;
  if (!Number.isInteger(count) || size === 0)
    throw new ShapeError(
      `arrayDataset: the ${data.length} elements of ${name} are no whole number of ${formatShape(shape)}`,
    );
  return count;
}

class Rows {
  readonly dtype: DType;
  private readonly size: number;

  constructor(
    private readonly data: TypedArray,
    private readonly shape: Shape,
  ) {
    this.dtype = dtypeOf(data);
    this.size = sizeOf(shape);
  }

  gather(indices: Uint32Array): TensorData {
    const { data, size, dtype } = this;
    const rows = dtypes[dtype].create(indices.length * size);
    indices.forEach((index, row) => {
      if (index * size >= data.length)
        throw new UsageError(`dataset: there is no example ${index}; there are ${data.length / size}`);
      rows.set(data.subarray(index * size, (index + 1) * size), row * size);
    });
    return { dtype, shape: [indices.length, ...this.shape], data: rows };
  }
}

/** The examples of `dataset` at `indices`, in that order. */
export function subset(dataset: Dataset, indices: Uint32Array): Dataset {
  const { x, y } = dataset;
  return { length: indices.length, x, y, batch: (chosen) => dataset.batch(chosen.map((index) => indices[index]!)) };
}

/** Streams of splits lie away from those of parameters and epochs, which may share the seed. */
const SPLIT_STREAM = 0x73706c69;

/**
 * Divides a dataset at random, by seed. A fraction gives two parts, of which the first has ⌊fraction · length⌉ examples; a
 * list gives parts of those sizes, and what is left over is in none. Throws UsageError for a fraction outside [0, 1] or sizes
 * beyond the dataset.
 *
 * @example
 * const [train, test] = split(digits, [8000, 2000], 1);
 */
export function split(dataset: Dataset, fraction: number, seed: number): [Dataset, Dataset];
export function split<const C extends readonly number[]>(
  dataset: Dataset,
  counts: C,
  seed: number,
): { [K in keyof C]: Dataset };
export function split(dataset: Dataset, parts: number | readonly number[], seed: number): Dataset[] {
  const { length } = dataset;
  const counts = typeof parts === "number" ? [Math.round(parts * length), length - Math.round(parts * length)] : parts;
  if (counts.some((count) => !Number.isInteger(count) || count < 0) || counts.reduce((a, b) => a + b, 0) > length)
    throw new UsageError(`split: cannot take ${counts.join(" and ")} examples of ${length}`);
  const order = new Random(seed, SPLIT_STREAM).permutation(length);
  let start = 0;
  return counts.map((count) => subset(dataset, order.subarray(start, (start += count))));
}
