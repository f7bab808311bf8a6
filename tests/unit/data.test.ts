// Datasets in memory: what a batch holds, and that splits and epochs are functions of their seeds.

import { describe, expect, test } from "vitest";
import { arrayDataset, ShapeError, split, subset, UsageError, type Dataset } from "../../src/index.ts";
import { cutIntoBatches, epochOrder } from "../../src/train/dataset.ts";

/** Example i has x = [i, -i] and label i. */
const numbered = (length: number): Dataset =>
  arrayDataset({
    x: Float32Array.from({ length: 2 * length }, (_, i) => (i % 2 === 0 ? i / 2 : -(i - 1) / 2)),
    xShape: [2],
    y: Uint32Array.from({ length }, (_, i) => i),
  });

const labels = async (dataset: Dataset): Promise<number[]> => {
  const { y } = await dataset.batch(Uint32Array.from({ length: dataset.length }, (_, i) => i));
  return [...y.data];
};

describe("arrayDataset", () => {
  test("gathers examples in the order asked for, in new arrays", async () => {
    const dataset = numbered(5);
    expect(dataset).toMatchObject({
      length: 5,
      x: { dtype: "float32", shape: [2] },
      y: { dtype: "uint32", shape: [] },
    });
    const { x, y } = await dataset.batch(Uint32Array.of(3, 1, 3));
    expect(x).toEqual({ dtype: "float32", shape: [3, 2], data: Float32Array.of(3, -3, 1, -1, 3, -3) });
    expect(y).toEqual({ dtype: "uint32", shape: [3], data: Uint32Array.of(3, 1, 3) });
    x.data.fill(9);
    expect((await dataset.batch(Uint32Array.of(1))).x.data).toEqual(Float32Array.of(1, -1));
  });

  test("targets may have a shape", async () => {
    const dataset = arrayDataset({
      x: new Float32Array(6),
      xShape: [3],
      y: Float32Array.of(1, 2, 3, 4),
      yShape: [1, 2],
    });
    expect((await dataset.batch(Uint32Array.of(1))).y).toEqual({
      dtype: "float32",
      shape: [1, 1, 2],
      data: Float32Array.of(3, 4),
    });
  });

  test("refuses arrays that do not fit, and examples that do not exist", () => {
    expect(() => arrayDataset({ x: new Float32Array(5), xShape: [2], y: new Uint32Array(2) })).toThrow(ShapeError);
    expect(() => arrayDataset({ x: new Float32Array(6), xShape: [2], y: new Uint32Array(2) })).toThrow(
      "x holds 3 examples of [2], y 2 of []",
    );
    expect(() => arrayDataset({ x: new Float32Array(0), xShape: [0], y: new Uint32Array(0) })).toThrow(ShapeError);
    expect(() => numbered(3).batch(Uint32Array.of(3))).toThrow(UsageError);
  });
});

describe("split", () => {
  test("parts are disjoint, complete and decided by the seed", async () => {
    const [train, rest] = split(numbered(10), 0.75, 1);
    expect([train.length, rest.length]).toEqual([8, 2]);
    const all = [...(await labels(train)), ...(await labels(rest))];
    expect(all.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(all).not.toEqual(all.toSorted((a, b) => a - b));
    const [again] = split(numbered(10), 0.75, 1);
    const [other] = split(numbered(10), 0.75, 2);
    expect(await labels(again)).toEqual(await labels(train));
    expect(await labels(other)).not.toEqual(await labels(train));
  });

  test("takes counts, and splits of splits", async () => {
    const [first, second] = split(numbered(10), [3, 4], 1);
    const seen = [...(await labels(first)), ...(await labels(second))];
    expect([first.length, second.length, new Set(seen).size]).toEqual([3, 4, 7]);
    const [inner] = split(second, [2], 5);
    expect(seen.slice(3)).toEqual(expect.arrayContaining(await labels(inner)));
    expect(await labels(subset(numbered(5), Uint32Array.of(4, 0)))).toEqual([4, 0]);
  });

  test("refuses more than there is", () => {
    expect(() => split(numbered(4), [3, 2], 1)).toThrow(UsageError);
    expect(() => split(numbered(4), 1.5, 1)).toThrow(UsageError);
    expect(() => split(numbered(4), [1.5], 1)).toThrow(UsageError);
  });
});

describe("epochs", () => {
  test("orders are permutations that differ between epochs and repeat with the seed", () => {
    const order = epochOrder(100, 7, 0);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(epochOrder(100, 7, 0)).toEqual(order);
    expect(epochOrder(100, 7, 1)).not.toEqual(order);
    expect(epochOrder(100, 8, 0)).not.toEqual(order);
    expect(epochOrder(3, undefined, 5)).toEqual(Uint32Array.of(0, 1, 2));
  });

  test("a last, smaller batch is kept or left out", () => {
    const sizes = (dropLast: boolean): number[] =>
      cutIntoBatches(epochOrder(7, undefined, 0), 3, dropLast).map(({ length }) => length);
    expect(sizes(false)).toEqual([3, 3, 1]);
    expect(sizes(true)).toEqual([3, 3]);
  });
});
