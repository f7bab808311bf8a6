// Damage to files, by seed: what transfers, editors and attackers do to bytes.

import { Random } from "../../src/core/random.ts";

/** A copy of `bytes` with one or two kinds of damage. The same seed damages the same way. */
export function mutated(bytes: Uint8Array, seed: number): Uint8Array {
  const random = new Random(seed);
  const below = (limit: number): number => random.integer(Math.max(1, limit));
  let result: Uint8Array = bytes.slice();
  for (let count = 1 + below(2); count > 0; count--) {
    const at = below(result.length);
    switch (below(6)) {
      case 0: // a flipped bit
        result[at]! ^= 1 << below(8);
        break;
      case 1: // a byte that looks like a length, a sign or an end
        result[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)]!;
        break;
      case 2: // the end is missing
        result = result.slice(0, at);
        break;
      case 3: // some bytes are missing
        result = joined(result.subarray(0, at), result.subarray(at + 1 + below(16)));
        break;
      case 4: // some bytes come twice
        result = joined(result.subarray(0, at + 1 + below(16)), result.subarray(at));
        break;
      default: // a number of many digits where a small one was
        result = joined(
          result.subarray(0, at),
          Uint8Array.of(0xff, 0xff, 0xff, 0xff, below(128)),
          result.subarray(at + 1),
        );
    }
    if (result.length === 0) return result;
  }
  return result;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
