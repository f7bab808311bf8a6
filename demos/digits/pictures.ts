// Small pictures: digits in the page's ink, filters in two colours (what they look for, what they look away from), and what
// a filter makes of a digit.

import { cssColor } from "../shared/theme.ts";
import { SIDE } from "./normalise.ts";
import type { Filters } from "./protocol.ts";

type Rgb = readonly [number, number, number];

/** Paints a 28 × 28 picture, 0 to 1, in the page's ink on transparent ground. */
export function paintDigit(canvas: HTMLCanvasElement, picture: Float32Array | undefined): void {
  const [red, green, blue] = rgb("--ink");
  paint(canvas, SIDE, SIDE, (i) => [red, green, blue, 255 * (picture?.[i] ?? 0)]);
}

/** Paints filter `index`, one pixel a weight: accent for positive weights, warm for negative ones, full at the largest. */
export function paintFilter(canvas: HTMLCanvasElement, { weight, size }: Filters, index: number): void {
  const own = weight.subarray(index * size * size, (index + 1) * size * size);
  const largest = own.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-6);
  const [positive, negative] = [rgb("--accent"), rgb("--warm")];
  paint(canvas, size, size, (i) => {
    const value = own[i]! / largest;
    return [...(value > 0 ? positive : negative), 255 * Math.abs(value)];
  });
}

/** Paints where filter `index` responds to a picture: relu(picture ∗ filter + bias), padded to the same size. */
export function paintResponse(
  canvas: HTMLCanvasElement,
  { weight, bias, size }: Filters,
  index: number,
  picture: Float32Array | undefined,
): void {
  const [red, green, blue] = rgb("--accent");
  const response = new Float32Array(SIDE * SIDE);
  let largest = 1e-6;
  if (picture) {
    const margin = (size - 1) / 2;
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        let sum = bias[index]!;
        for (let ky = 0; ky < size; ky++) {
          const row = y + ky - margin;
          if (row < 0 || row >= SIDE) continue;
          for (let kx = 0; kx < size; kx++) {
            const column = x + kx - margin;
            if (column >= 0 && column < SIDE)
              sum += weight[(index * size + ky) * size + kx]! * picture[row * SIDE + column]!;
          }
        }
        response[y * SIDE + x] = Math.max(0, sum);
        largest = Math.max(largest, sum);
      }
    }
  }
  paint(canvas, SIDE, SIDE, (i) => [red, green, blue, (255 * response[i]!) / largest]);
}

function paint(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
  pixel: (i: number) => readonly [number, number, number, number],
): void {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) image.data.set(pixel(i), 4 * i);
  canvas.getContext("2d")!.putImageData(image, 0, 0);
}

function rgb(property: `--${string}`): Rgb {
  const [red = 0, green = 0, blue = 0] = (cssColor(property).match(/[\d.]+/g) ?? []).map(Number);
  return [red, green, blue];
}
