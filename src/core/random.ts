// Philox 4x32-10, a counter-based generator: word i of stream (seed, stream) is a pure function of (seed, stream, i),
// so the CPU and every GPU thread draw the same numbers in any order, and nothing has to be stored but a counter.
// Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011). shaders/common/philox.ts is its WGSL twin.

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const ROUNDS = 10;

/** High 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const mid = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (mid & 0xffff);
  return (aHigh * bHigh + Math.floor(mid / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/** Four 32-bit words: the Philox 4x32-10 bijection of a 128-bit counter under a 64-bit key. */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Uniform in [0, 1) from the top 24 bits of a word: every value is exact in float32. */
export function wordToUniform(word: number): number {
  return (word >>> 8) * 2 ** -24;
}

/** A sequential reader of one Philox stream. Streams with different numbers are independent. */
export class Random {
  private block: readonly number[] = [];
  private nextInBlock = 4;
  private counter = 0;

  constructor(
    readonly seed: number,
    readonly stream = 0,
  ) {}

  /** The next 32-bit word. */
  word(): number {
    if (this.nextInBlock === 4) {
      this.block = philox([this.counter++ >>> 0, 0, 0, 0], [this.seed >>> 0, this.stream >>> 0]);
      this.nextInBlock = 0;
    }
    return this.block[this.nextInBlock++]!;
  }

  /** Uniform in [0, 1), 24 bits. */
  uniform(): number {
    return wordToUniform(this.word());
  }

  /** Standard normal, by Box–Muller. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Unbiased integer in [0, bound), by rejection. */
  integer(bound: number): number {
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const word = this.word();
      if (word < limit) return word % bound;
    }
  }

  /** A permutation of 0 … length-1 (Fisher–Yates). */
  permutation(length: number): Uint32Array {
    const order = Uint32Array.from({ length }, (_, i) => i);
    for (let i = length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const swap = order[i]!;
      order[i] = order[j]!;
      order[j] = swap;
    }
    return order;
  }
}
