// Random operators by their statistics: each estimate lies within five standard errors of what the distribution says. Keys
// are fixed, so these tests do not depend on luck.

import { describe, expect, test } from "vitest";
import { bernoulli, multinomial, randomNormal, randomUniform } from "../../src/ops/random.ts";
import { EagerBuilder, type EagerTensor } from "../harness/eager.ts";

const COUNT = 20_000;
const key = (seed: number, step = 0): EagerTensor => ({
  dtype: "uint32",
  shape: [2],
  data: Float64Array.of(seed, step),
});
const tensor = (shape: readonly number[], data: readonly number[]): EagerTensor => ({
  dtype: "float32",
  shape,
  data: Float64Array.from(data),
});

const mean = (values: ArrayLike<number>): number => Array.from(values).reduce((sum, x) => sum + x, 0) / values.length;

/** Σ (observed - expected)² / expected. */
function chiSquare(observed: readonly number[], probabilities: readonly number[]): number {
  const total = observed.reduce((sum, count) => sum + count, 0);
  return observed.reduce(
    (sum, count, i) => sum + (count - total * probabilities[i]!) ** 2 / (total * probabilities[i]!),
    0,
  );
}

function histogram(values: ArrayLike<number>, bins: number, binOf: (value: number) => number): number[] {
  const counts = new Array<number>(bins).fill(0);
  for (const value of Array.from(values)) counts[Math.min(bins - 1, Math.max(0, Math.floor(binOf(value))))]!++;
  return counts;
}

describe("RandomUniform", () => {
  test("covers its range evenly", () => {
    const { data } = new EagerBuilder().apply(randomUniform, [key(1)], { shape: [COUNT], low: -1, high: 3 });
    expect(data.every((x) => x >= -1 && x < 3)).toBe(true);
    expect(Math.abs(mean(data) - 1)).toBeLessThan((5 * 4) / Math.sqrt(12 * COUNT));
    expect(Math.abs(mean(data.map((x) => (x - 1) ** 2)) - 16 / 12)).toBeLessThan(0.06);
    // 15 degrees of freedom: above 44 once in ten thousand.
    const counts = histogram(data, 16, (x) => (x + 1) * 4);
    expect(chiSquare(counts, new Array<number>(16).fill(1 / 16))).toBeLessThan(44);
  });

  test("a key draws the same, another step or stream does not", () => {
    const draw = (seed: number, step: number, stream: number): number[] => [
      ...new EagerBuilder().apply(randomUniform, [key(seed, step)], { shape: [8], stream }).data,
    ];
    expect(draw(1, 0, 0)).toEqual(draw(1, 0, 0));
    for (const other of [draw(2, 0, 0), draw(1, 1, 0), draw(1, 0, 1)]) expect(other).not.toEqual(draw(1, 0, 0));
  });
});

test("RandomNormal has its moments and its tails", () => {
  const { data } = new EagerBuilder().apply(randomNormal, [key(2)], { shape: [COUNT], mean: 2, scale: 3 });
  const standard = data.map((x) => (x - 2) / 3);
  expect(Math.abs(mean(standard))).toBeLessThan(5 / Math.sqrt(COUNT));
  expect(Math.abs(mean(standard.map((x) => x ** 2)) - 1)).toBeLessThan(5 * Math.sqrt(2 / COUNT));
  expect(Math.abs(mean(standard.map((x) => x ** 3)))).toBeLessThan(5 * Math.sqrt(15 / COUNT));
  expect(Math.abs(mean(standard.map((x) => x ** 4)) - 3)).toBeLessThan(5 * Math.sqrt(96 / COUNT));
  // Quartiles, and ±2: 5 degrees of freedom, above 26 once in ten thousand.
  const edges = [-2, -0.6744897501960817, 0, 0.6744897501960817, 2];
  const counts = histogram(standard, 6, (x) => edges.filter((edge) => x >= edge).length);
  const tail = 0.0227501319481792;
  expect(chiSquare(counts, [tail, 0.25 - tail, 0.25, 0.25, 0.25 - tail, tail])).toBeLessThan(26);
});

test("Bernoulli draws each element with its own probability", () => {
  const build = new EagerBuilder();
  for (const p of [0, 0.1, 0.5, 1]) {
    const input = tensor([COUNT], new Array<number>(COUNT).fill(p));
    const { data, dtype } = build.apply(bernoulli, [input, key(3)], { dtype: "int32" });
    expect(dtype).toBe("int32");
    expect(data.every((x) => x === 0 || x === 1)).toBe(true);
    expect(Math.abs(mean(data) - p)).toBeLessThanOrEqual(5 * Math.sqrt((p * (1 - p)) / COUNT));
  }
});

test("Multinomial draws classes by their probabilities, which need not add up to 1", () => {
  const probabilities = [0.1, 0.2, 0.3, 0.4];
  const logits = probabilities.map((p) => Math.log(7 * p));
  const input = tensor([2, 4], [...logits, 0, -40, 0, -40]);
  const { data, shape } = new EagerBuilder().apply(multinomial, [input, key(4)], { sample_size: 5000 });
  expect(shape).toEqual([2, 5000]);
  // 3 degrees of freedom: above 21 once in ten thousand.
  expect(
    chiSquare(
      histogram(data.slice(0, 5000), 4, (x) => x),
      probabilities,
    ),
  ).toBeLessThan(21);
  const second = histogram(data.slice(5000), 4, (x) => x);
  expect(second[1]! + second[3]!).toBe(0);
  expect(chiSquare([second[0]!, second[2]!], [0.5, 0.5])).toBeLessThan(15);
});
