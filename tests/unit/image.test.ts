// Pictures as tensors: order of channels, layout, normalisation, bilinear resizing.

import { describe, expect, test } from "vitest";
import { imageTensor, ShapeError, type ImageOptions, type Pixels } from "../../src/index.ts";

/** Two pixels in a row. */
const two: Pixels = { width: 2, height: 1, data: Uint8Array.of(10, 20, 30, 255, 40, 50, 60, 0) };

describe("imageTensor", () => {
  const cases: [title: string, options: ImageOptions, shape: number[], data: number[]][] = [
    ["planes of bytes", { scale: 1 }, [1, 3, 1, 2], [10, 40, 20, 50, 30, 60]],
    ["pixels of bytes", { scale: 1, layout: "nhwc" }, [1, 1, 2, 3], [10, 20, 30, 40, 50, 60]],
    ["blue first", { scale: 1, bgr: true }, [1, 3, 1, 2], [30, 60, 20, 50, 10, 40]],
    ["normalised", { scale: 10, mean: [1, 2, 3], std: [1, 2, 3] }, [1, 3, 1, 2], [0, 3, 0, 1.5, 0, 1]],
    ["one mean for all", { scale: 1, mean: 10, std: [10] }, [1, 3, 1, 2], [0, 3, 1, 4, 2, 5]],
    ["grey", { scale: 1, channels: 1 }, [1, 1, 1, 2], [18.15, 48.15]],
    [
      "wider: between the pixels' centres",
      { scale: 1, width: 4 },
      [1, 3, 1, 4],
      [10, 17.5, 32.5, 40, 20, 27.5, 42.5, 50, 30, 37.5, 52.5, 60],
    ],
    ["narrower", { scale: 1, width: 1, height: 2 }, [1, 3, 2, 1], [25, 25, 35, 35, 45, 45]],
  ];
  test.each(cases)("%s", (_, options, shape, data) => {
    const tensor = imageTensor(two, options);
    expect([tensor.dtype, tensor.shape]).toEqual(["float32", shape]);
    expect([...tensor.data]).toEqual(data.map((value) => expect.closeTo(value, 4) as number));
  });

  test("sizes that do not fit", () => {
    expect(() => imageTensor({ ...two, width: 3 })).toThrow(ShapeError);
    expect(() => imageTensor(two, { mean: [1, 2] })).toThrow(/mean has 2 numbers for 3 channels/);
  });
});
