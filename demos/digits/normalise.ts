// From a drawing to what the network knows. MNIST's digits were scaled into a box of 20 × 20 pixels, with their proportions
// kept, and then placed so that their centre of mass is the middle of a 28 × 28 picture. A drawing gets the same treatment.

/** Side of a digit's picture in pixels. */
export const SIDE = 28;
const BOX = 20;
/** A dot is not blown up to a blot: at most this many pixels of the picture for one side of the drawing's canvas. */
const MAX_MAGNIFICATION = 3;

/**
 * A 28 × 28 picture, 0 (paper) to 1 (ink), of a square drawing of ink coverage, 0 to 255, row by row. Undefined for
 * an empty one.
 */
export function normalise(ink: Uint8ClampedArray, side: number): Float32Array | undefined {
  let [left, right, top, bottom] = [side, -1, side, -1];
  let [mass, massX, massY] = [0, 0, 0];
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const amount = ink[y * side + x]!;
      if (amount === 0) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
      mass += amount;
      massX += amount * (x + 0.5);
      massY += amount * (y + 0.5);
    }
  }
  if (mass === 0) return undefined;
  const extent = Math.max(right - left, bottom - top) + 1;
  const scale = Math.min(BOX / extent, (MAX_MAGNIFICATION * SIDE) / side);
  const shiftX = SIDE / 2 - (massX / mass) * scale;
  const shiftY = SIDE / 2 - (massY / mass) * scale;

  // Each drawn pixel is far smaller than a pixel of the picture: its ink goes whole into the one below its middle.
  const picture = new Float32Array(SIDE * SIDE);
  const share = (scale * scale) / 255;
  for (let y = top; y <= bottom; y++) {
    const row = Math.floor((y + 0.5) * scale + shiftY);
    if (row < 0 || row >= SIDE) continue;
    for (let x = left; x <= right; x++) {
      const column = Math.floor((x + 0.5) * scale + shiftX);
      if (column >= 0 && column < SIDE) picture[row * SIDE + column]! += ink[y * side + x]! * share;
    }
  }
  return picture.map((value) => Math.min(1, value));
}
