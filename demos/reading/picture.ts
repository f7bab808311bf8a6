// Pictures as arrays of bytes, places in them, and cutting a place out: for the detector the whole picture, for the
// recogniser one line of text, turned upright.

/** RGBA bytes, row by row, as in an `ImageData`. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

/** A point, or a distance, in pixels: right and down. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/**
 * A box around a line of text: a parallelogram, given by its centre and two of its edges. `along` runs the way the text is
 * read, from edge to edge; `down` runs from the top of the letters to their feet.
 */
export interface Box {
  readonly centre: Point;
  readonly along: Point;
  readonly down: Point;
}

/** The box that is the whole picture. */
export function wholeOf({ width, height }: { readonly width: number; readonly height: number }): Box {
  return { centre: { x: width / 2, y: height / 2 }, along: { x: width, y: 0 }, down: { x: 0, y: height } };
}

/** The point of a box at shares `u` of its width and `v` of its height, each 0 to 1. */
export function pointIn({ centre, along, down }: Box, u: number, v: number): Point {
  return {
    x: centre.x + along.x * (u - 0.5) + down.x * (v - 0.5),
    y: centre.y + along.y * (u - 0.5) + down.y * (v - 0.5),
  };
}

/** The corners of a box: top left, top right, bottom right, bottom left, as the text sees it. */
export function cornersOf(box: Box): readonly [Point, Point, Point, Point] {
  return [pointIn(box, 0, 0), pointIn(box, 1, 0), pointIn(box, 1, 1), pointIn(box, 0, 1)];
}

export const widthOf = ({ along }: Box): number => Math.hypot(along.x, along.y);
export const heightOf = ({ down }: Box): number => Math.hypot(down.x, down.y);

/** The same box, read from the other end. */
export function upsideDown({ centre, along, down }: Box): Box {
  return { centre, along: { x: -along.x, y: -along.y }, down: { x: -down.x, y: -down.y } };
}

/** The same box with its text running down the page: the head turned a quarter to the right reads it. */
export function turned({ centre, along, down }: Box): Box {
  return { centre, along: down, down: { x: -along.x, y: -along.y } };
}

/** The same box in a picture that is `sx` times as wide and `sy` times as high. */
export function scaled({ centre, along, down }: Box, sx: number, sy: number): Box {
  const scale = ({ x, y }: Point): Point => ({ x: x * sx, y: y * sy });
  return { centre: scale(centre), along: scale(along), down: scale(down) };
}

/** What a network makes of a byte: (value − mean) / deviation, value being 0 to 1. One of each for blue, green, red. */
export interface Normalisation {
  readonly mean: readonly [number, number, number];
  readonly deviation: readonly [number, number, number];
}

/** No pixel is the mean of more samples than this, squared. */
const MAX_SAMPLES = 4;

/**
 * Cuts `box` out of a picture as `width` × `height` pixels, and normalises them: [3, height, paddedWidth], the channels in
 * the order blue, green, red, which these networks were trained with. What lies right of `width` stays 0. Where the picture
 * is larger than what is made of it, a pixel is the mean of several samples, so that thin strokes are not lost.
 */
export function cutOut(
  { width: fullWidth, height: fullHeight, data }: Picture,
  box: Box,
  width: number,
  height: number,
  { mean, deviation }: Normalisation,
  paddedWidth = width,
): Float32Array {
  const result = new Float32Array(3 * height * paddedWidth);
  const samples = (from: number, to: number): number => Math.min(MAX_SAMPLES, Math.max(1, Math.round(from / to)));
  const [across, downwards] = [samples(widthOf(box), width), samples(heightOf(box), height)];
  const plane = height * paddedWidth;
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      let [red, green, blue] = [0, 0, 0];
      for (let j = 0; j < downwards; j++)
        for (let i = 0; i < across; i++) {
          const at = pointIn(box, (column + (i + 0.5) / across) / width, (row + (j + 0.5) / downwards) / height);
          // Between the centres of four pixels, each by how near it is; beyond the picture's edge its edge goes on.
          const x = Math.min(Math.max(at.x - 0.5, 0), fullWidth - 1);
          const y = Math.min(Math.max(at.y - 0.5, 0), fullHeight - 1);
          const [left, top] = [Math.floor(x), Math.floor(y)];
          const [right, bottom] = [Math.min(left + 1, fullWidth - 1), Math.min(top + 1, fullHeight - 1)];
          const [toRight, toBottom] = [x - left, y - top];
          for (let corner = 0; corner < 4; corner++) {
            const isRight = corner % 2 === 1;
            const isBottom = corner >= 2;
            const share = (isRight ? toRight : 1 - toRight) * (isBottom ? toBottom : 1 - toBottom);
            const pixel = 4 * ((isBottom ? bottom : top) * fullWidth + (isRight ? right : left));
            red += share * data[pixel]!;
            green += share * data[pixel + 1]!;
            blue += share * data[pixel + 2]!;
          }
        }
      const at = row * paddedWidth + column;
      const scale = 1 / (255 * across * downwards);
      result[at] = (blue * scale - mean[0]) / deviation[0];
      result[plane + at] = (green * scale - mean[1]) / deviation[1];
      result[2 * plane + at] = (red * scale - mean[2]) / deviation[2];
    }
  return result;
}
