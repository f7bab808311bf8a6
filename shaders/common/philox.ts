// Philox 4x32-10 in WGSL: the same words as src/core/random.ts, bit for bit. WGSL has no 64-bit integers, so the high half
// of a product is put together from 16-bit halves.

/** `philox(counter, key) -> vec4<u32>`: four random words. */
export const PHILOX = `
fn multiply_high(a: u32, b: u32) -> u32 {
  let a_low = a & 0xffffu;
  let a_high = a >> 16u;
  let b_low = b & 0xffffu;
  let b_high = b >> 16u;
  let mid = a_high * b_low + ((a_low * b_low) >> 16u);
  let carry = a_low * b_high + (mid & 0xffffu);
  return a_high * b_high + (mid >> 16u) + (carry >> 16u);
}

fn philox(first_counter: vec4<u32>, first_key: vec2<u32>) -> vec4<u32> {
  const MULTIPLIER_0 = 0xd2511f53u;
  const MULTIPLIER_1 = 0xcd9e8d57u;
  const WEYL = vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  var counter = first_counter;
  var round_key = first_key;
  for (var round_number = 0u; round_number < 10u; round_number++) {
    counter = vec4<u32>(
      multiply_high(MULTIPLIER_1, counter.z) ^ counter.y ^ round_key.x,
      MULTIPLIER_1 * counter.z,
      multiply_high(MULTIPLIER_0, counter.x) ^ counter.w ^ round_key.y,
      MULTIPLIER_0 * counter.x,
    );
    round_key += WEYL;
  }
  return counter;
}`;
