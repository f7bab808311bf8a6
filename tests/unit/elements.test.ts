// Elements between files and words: every half both ways, rounding, bfloat16, alignment, 64-bit ranges.

import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { roundToHalf } from "../../src/core/dtype.ts";
import { DTypeError, FormatError } from "../../src/core/errors.ts";
import { decodeElements, encodeElements, naturalElements } from "../../src/formats/elements.ts";

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

describe("float16", () => {
  test("all 65,536 bit patterns survive, and NaN stays NaN", () => {
    const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const values = naturalElements(bytesOf(bits), "float16");
    const back = new Uint16Array(encodeElements(values, "float16").buffer);
    const changed = [...bits].filter((pattern) => back[pattern] !== pattern && !Number.isNaN(values[pattern]));
    expect(changed).toEqual([]);
    expect([...values].filter(Number.isNaN)).toHaveLength(2 * 1023);
  });

  test("rounds as the engine does: to nearest, ties to even, beyond 65,504 to infinity", () => {
    const halved = (value: number): unknown => naturalElements(encodeElements([value], "float16"), "float16")[0];
    for (const value of [
      65504,
      65519.99,
      65520,
      2 ** -25,
      2 ** -25 * 1.0001,
      2 ** -14 * (1 - 2 ** -12),
      1 + 2 ** -11,
      -0,
    ])
      expect(halved(value), String(value)).toBe(roundToHalf(value));
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (value) => {
        expect(halved(value)).toBe(roundToHalf(value));
      }),
      { numRuns: 2000, seed: 1 },
    );
  });
});

test("bfloat16: exact on the way in, to nearest on the way out", () => {
  const bits = encodeElements([1, -2.5, 1 + 2 ** -8, 1 + 3 * 2 ** -8, Infinity, NaN, 3.4e38], "bfloat16");
  expect([...decodeElements(bits, "bfloat16", "x")]).toEqual([1, -2.5, 1, 1 + 2 ** -6, Infinity, NaN, Infinity]);
});

test("unaligned views, Node's Buffers among them", () => {
  const floats = bytesOf(Float32Array.of(1.5, -2));
  const padded = Buffer.alloc(11);
  padded.set(floats, 3);
  for (const view of [padded.subarray(3, 11), new Uint8Array(padded).subarray(3, 11)])
    expect(decodeElements(view, "float32", "x")).toEqual(Float32Array.of(1.5, -2));
});

test("64 bits: natural ones are exact, words are checked", () => {
  const wide = encodeElements([2n ** 63n - 1n, -(2n ** 63n)], "int64");
  expect(naturalElements(wide, "int64")).toEqual(BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n)));
  expect(() => decodeElements(wide, "int64", "the ends")).toThrow(DTypeError);
  expect(() => decodeElements(wide, "int64", "the ends")).toThrow(/^the ends: /);
  expect(decodeElements(encodeElements([-5], "int64"), "int64", "x")).toEqual(Int32Array.of(-5));
});

test("a broken number of bytes", () => {
  expect(() => naturalElements(new Uint8Array(7), "float32")).toThrow(FormatError);
});
