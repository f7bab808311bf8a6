// From pixels to the tensor a vision model takes: resize, normalise, arrange. Pixels are RGBA bytes, row by row, as a
// canvas's ImageData and every decoder gives them; transparency is ignored.

import { ShapeError } from "../core/errors.ts";
import type { TensorData } from "../core/tensorData.ts";

/** A picture: 4 bytes (red, green, blue, alpha) a pixel. Fits a canvas's ImageData. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** What a model expects of a picture. */
export interface ImageOptions {
  /** Output size; the picture's own when left out. Resizing is bilinear, with pixel centres kept in place. */
  readonly width?: number;
  readonly height?: number;
  /** 3 (colour, default) or 1 (grey: 0.299 R + 0.587 G + 0.114 B). */
  readonly channels?: 1 | 3;
  /** `nchw` (default): [1, channels, height, width]; `nhwc`: [1, height, width, channels]. */
  readonly layout?: "nchw" | "nhwc";
  /** Channels in the order blue, green, red. Default false. */
  readonly bgr?: boolean;
  /** Bytes are divided by this first. Default 255. */
  readonly scale?: number;
  /** Subtracted then, and what is divided by at last: one number, or one for each channel in output order. */
  readonly mean?: number | readonly number[];
  readonly std?: number | readonly number[];
}

const BYTES_PER_PIXEL = 4;

/**
 * A picture as a float32 tensor with a batch axis of 1. Throws ShapeError when sizes do not fit.
 *
 * @example
 * const image = imageTensor(pixels, { width: 224, height: 224, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] });
 */
export function imageTensor(pixels: Pixels, options: ImageOptions = {}): TensorData {
  const { width = pixels.width, height = pixels.height, channels = 3, layout = "nchw" } = options;
  const { bgr = false, scale = 255, mean = 0, std = 1 } = options;
  if (pixels.data.length !== pixels.width * pixels.height * BYTES_PER_PIXEL)
    throw new ShapeError(
      `imageTensor: ${pixels.data.length} bytes are no ${pixels.width} × ${pixels.height} pixels of ${BYTES_PER_PIXEL}`,
    );
  const [means, stds] = [perChannel(mean, channels, "mean"), perChannel(std, channels, "std")];
  const resized = resize(pixels, width, height);
  const size = width * height;
  const data = new Float32Array(channels * size);
  for (let i = 0; i < size; i++) {
    const [r, g, b] = [resized[3 * i]!, resized[3 * i + 1]!, resized[3 * i + 2]!];
    const ordered = channels === 1 ? [0.299 * r + 0.587 * g + 0.114 * b] : bgr ? [b, g, r] : [r, g, b];
    ordered.forEach((value, c) => {
      data[layout === "nchw" ? c * size + i : i * channels + c] = (value / scale - means[c]!) / stds[c]!;
    });
  }
  const shape = layout === "nchw" ? [1, channels, height, width] : [1, height, width, channels];
  return { dtype: "float32", shape, data };
}

function perChannel(value: number | readonly number[], channels: number, name: string): readonly number[] {
  if (typeof value === "number") return Array.from({ length: channels }, () => value);
  if (value.length === 1) return Array.from({ length: channels }, () => value[0]!);
  if (value.length !== channels)
    throw new ShapeError(`imageTensor: ${name} has ${value.length} numbers for ${channels} channels`);
  return value;
}

/** Where an output coordinate falls: two neighbours, and how far from the first to the second. */
function neighbours(at: number, size: number, resizedSize: number): [first: number, second: number, share: number] {
  const place = Math.min(Math.max(((at + 0.5) * size) / resizedSize - 0.5, 0), size - 1);
  const first = Math.floor(place);
  return [first, Math.min(first + 1, size - 1), place - first];
}

/** Bilinear resizing to [height, width, 3]. */
function resize({ data, width, height }: Pixels, newWidth: number, newHeight: number): Float32Array {
  const result = new Float32Array(newWidth * newHeight * 3);
  const columns = Array.from({ length: newWidth }, (_, x) => neighbours(x, width, newWidth));
  for (let y = 0; y < newHeight; y++) {
    const [top, bottom, down] = neighbours(y, height, newHeight);
    columns.forEach(([left, right, along], x) => {
      for (let c = 0; c < 3; c++) {
        const pixel = (row: number, column: number): number => data[(row * width + column) * BYTES_PER_PIXEL + c]!;
        const above = pixel(top, left) * (1 - along) + pixel(top, right) * along;
        const below = pixel(bottom, left) * (1 - along) + pixel(bottom, right) * along;
        result[(y * newWidth + x) * 3 + c] = above * (1 - down) + below * down;
      }
    });
  }
  return result;
}
