// Indices that are data: what they mean in a kernel.

/**
 * `place_of(index, extent)`: the place an index means along an axis of `extent`. Indices below 0 count from the end; those
 * out of range are clamped, so that nothing outside is ever read or written.
 */
export const PLACE_OF = `
fn place_of(index: i32, extent: u32) -> u32 {
  let place = select(index, index + i32(extent), index < 0);
  return u32(clamp(place, 0, max(i32(extent), 1) - 1));
}`;
