// More digits than there are: each time a picture is seen in training it lies up to one pixel further up, down, left or
// right, so that the network learns strokes rather than places.

import { Random, type Dataset } from "neurite";
import { SIDE } from "./normalise.ts";

const FARTHEST = 1; // pixels
/** Away from the streams of weights and batches, which may share the seed. */
const STREAM = 0x73686966;

/** `digits` with every picture moved at random each time it is asked for; what is moved in is paper. */
export function shifted(digits: Dataset, seed: number): Dataset {
  const random = new Random(seed, STREAM);
  return {
    ...digits,
    async batch(indices) {
      const { x, y } = await digits.batch(indices);
      const moved = new Float32Array(x.data.length);
      for (let first = 0; first < moved.length; first += SIDE * SIDE) {
        const down = random.integer(2 * FARTHEST + 1) - FARTHEST;
        const right = random.integer(2 * FARTHEST + 1) - FARTHEST;
        for (let row = Math.max(0, down); row < Math.min(SIDE, SIDE + down); row++) {
          const from = first + (row - down) * SIDE;
          const pixels = x.data.subarray(from + Math.max(0, -right), from + Math.min(SIDE, SIDE - right));
          moved.set(pixels, first + row * SIDE + Math.max(0, right));
        }
      }
      return { x: { ...x, data: moved }, y };
    },
  };
}
