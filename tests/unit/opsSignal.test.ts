// Transforms and resizing against numbers from outside: definitions written out anew, and published examples.

import { describe, expect, test } from "vitest";
import { ShapeError, UnsupportedError } from "../../src/core/errors.ts";
import { Random } from "../../src/core/random.ts";
import { affineGrid } from "../../src/ops/affineGrid.ts";
import { dft, transformed } from "../../src/ops/dft.ts";
import { gridSample } from "../../src/ops/gridSample.ts";
import { resize } from "../../src/ops/resize.ts";
import { axisTable, resizedAxes, type ResizeAttributes } from "../../src/ops/resizeTable.ts";
import { EagerBuilder, type EagerTensor } from "../harness/eager.ts";

const tensor = (shape: readonly number[], data: ArrayLike<number>): EagerTensor => ({
  dtype: "float32",
  shape,
  data: Float64Array.from(data),
});

const noise = (count: number, seed: number): Float64Array => {
  const random = new Random(seed);
  return Float64Array.from({ length: count }, () => random.uniform() - 0.5);
};

function expectNear(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++)
    if (!(Math.abs(actual[i]! - expected[i]!) <= tolerance))
      expect.fail(`element ${i}: ${actual[i]} instead of ${expected[i]}`);
}

describe("DFT", () => {
  /** Transform of [N, 2] by its definition. */
  function spectrum(x: Float64Array, sign: number): Float64Array {
    const N = x.length / 2;
    const y = new Float64Array(x.length);
    for (let k = 0; k < N; k++)
      for (let n = 0; n < N; n++) {
        const [c, s] = [Math.cos((2 * Math.PI * n * k) / N), sign * Math.sin((2 * Math.PI * n * k) / N)];
        y[2 * k]! += x[2 * n]! * c - x[2 * n + 1]! * s;
        y[2 * k + 1]! += x[2 * n]! * s + x[2 * n + 1]! * c;
      }
    return y;
  }

  const complex = { partsIn: 2, partsOut: 2, inverse: false, fromHalf: false };

  test.each([12, 60, 64, 210])("%i points split into small products are the definition's", (N) => {
    const x = noise(2 * N, N);
    const build = new EagerBuilder();
    const limit = 12 * 12 * 4;
    const y = transformed(build, tensor([1, N, 2], x), { N, from: N, to: N, ...complex }, limit);
    expectNear((y as EagerTensor).data, spectrum(x, -1), 1e-5);
    const inverse = { N, from: N, to: N, ...complex, inverse: true };
    const back = transformed(build, y, inverse, limit) as EagerTensor;
    expectNear(back.data, x, 1e-6);
  });

  test("a split transform cuts, fills up and takes halves", () => {
    const N = 60;
    const build = new EagerBuilder();
    const signal = noise(50, 3);
    const padded = new Float64Array(2 * N);
    signal.forEach((value, i) => (padded[2 * i] = value));
    const whole = spectrum(padded, -1);
    const forward = { N, from: 50, to: 31, partsIn: 1, partsOut: 2, inverse: false, fromHalf: false };
    const half = transformed(build, tensor([1, 50, 1], signal), forward, 400) as EagerTensor;
    expect(half.shape).toEqual([1, 31, 2]);
    expectNear(half.data, whole.slice(0, 62), 1e-5);
    const inverse = { N, from: 31, to: N, partsIn: 2, partsOut: 1, inverse: true, fromHalf: true };
    const back = transformed(build, half, inverse, 400) as EagerTensor;
    expectNear(back.data.slice(0, 50), signal, 1e-6);
    expectNear(back.data.slice(50), new Float64Array(10), 1e-6);
  });

  test("a long transform of a prime number of points is refused", () => {
    const x = tensor([1, 101, 2], new Float64Array(202));
    expect(() => transformed(new EagerBuilder(), x, { N: 101, from: 101, to: 101, ...complex }, 400)).toThrow(
      UnsupportedError,
    );
  });

  test("what cancels is exactly 0", () => {
    const x = tensor([1, 8, 1], [1, 2, 3, 4, 5, 6, 7, 8]);
    const y = new EagerBuilder().apply(dft, [x]);
    expect(y.data[1]).toBe(0);
    expect(y.data[9]).toBe(0);
    expect(() => new EagerBuilder().apply(dft, [x], { axis: -1 })).toThrow(ShapeError);
  });
});

describe("Resize", () => {
  const defaults = resize.attributes;
  const places = (shape: readonly number[], given: Partial<ResizeAttributes>): number[] => {
    const attributes = { ...defaults, ...given };
    return [...axisTable(resizedAxes(shape, attributes)[0]!, attributes).starts];
  };

  test("nearest neighbours, by every rounding", () => {
    const nearest = (nearest_mode: string): number[] =>
      places([4], { scales: [2], nearest_mode, coordinate_transformation_mode: "asymmetric" });
    expect(nearest("round_prefer_floor")).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    expect(nearest("round_prefer_ceil")).toEqual([0, 1, 1, 2, 2, 3, 3, 3]);
    expect(nearest("floor")).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    expect(nearest("ceil")).toEqual([0, 1, 1, 2, 2, 3, 3, 3]);
    expect(() => nearest("sideways")).toThrow(UnsupportedError);
  });

  test("a scale that float32 does not hold hits the element that is meant", () => {
    // 6 / 1.2 is 5, though 1.2 is stored as 1.2000000477.
    const floor = { nearest_mode: "floor", coordinate_transformation_mode: "asymmetric" };
    expect(places([6], { scales: [1.2], ...floor })).toEqual([0, 0, 1, 2, 3, 4, 5]);
    expect(places([10], { scales: [0.7] }).length).toBe(7);
  });

  test("a cropped region knows what lies outside", () => {
    const crop = { sizes: [3], roi: [0.4, 1.2], coordinate_transformation_mode: "tf_crop_and_resize" };
    expect(places([4], { mode: "linear", ...crop })).toEqual([1, 2, -1]);
  });

  test("policies keep the aspect", () => {
    const extents = (keep_aspect_ratio_policy: string): number[] =>
      resizedAxes([6, 9], { ...defaults, sizes: [8, 14], keep_aspect_ratio_policy }).map(({ to }) => to);
    expect(extents("not_larger")).toEqual([8, 12]);
    expect(extents("not_smaller")).toEqual([9, 14]);
    expect(extents("stretch")).toEqual([8, 14]);
  });

  test("lists that do not fit are refused", () => {
    const refused: Partial<ResizeAttributes>[] = [
      {},
      { scales: [2, 2], sizes: [4, 4] },
      { scales: [2] },
      { scales: [2, 0] },
      { scales: [2, 2], roi: [0, 1] },
    ];
    for (const given of refused) expect(() => resizedAxes([2, 2], { ...defaults, ...given })).toThrow(ShapeError);
    expect(() => resizedAxes([0, 2], { ...defaults, sizes: [1, 2] })).toThrow(ShapeError);
  });
});

describe("GridSample and AffineGrid", () => {
  test("the grid of the identity samples every element where it is", () => {
    const build = new EagerBuilder();
    const X = tensor([1, 2, 3, 4], noise(24, 5));
    for (const align_corners of [0, 1]) {
      const theta = tensor([1, 2, 3], [1, 0, 0, 0, 1, 0]);
      const grid = build.apply(affineGrid, [theta], { size: [1, 2, 3, 4], align_corners });
      for (const mode of ["linear", "nearest", "cubic"])
        expectNear(build.apply(gridSample, [X, grid], { align_corners, mode }).data, X.data, 1e-6);
    }
  });

  test("a mirrored volume", () => {
    const build = new EagerBuilder();
    const X = tensor([1, 1, 2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]);
    const theta = tensor([1, 3, 4], [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]);
    const grid = build.apply(affineGrid, [theta], { size: [1, 1, 2, 2, 2] });
    expectNear(build.apply(gridSample, [X, grid], {}).data, [2, 1, 4, 3, 6, 5, 8, 7], 1e-6);
  });
});
