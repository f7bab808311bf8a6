// The .npy codec against files NumPy wrote, files made by hand from the format's description, and damaged ones.

import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { dtypes, type DType } from "../../src/core/dtype.ts";
import { FormatError, UnsupportedError } from "../../src/core/errors.ts";
import { tensorData } from "../../src/core/tensorData.ts";
import { decodeNpy, encodeNpy } from "../../src/formats/npy.ts";

/** Written by `numpy.save` 2.4.6: int16 rows, and float16 in Fortran order. */
const WRITTEN_BY_NUMPY = {
  rows:
    "k05VTVBZAQB2AHsnZGVzY3InOiAnPGkyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAgICAgICAgICAgIC" +
    "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoBAP7/AwAEAAUA+v8=",
  columns:
    "k05VTVBZAQB2AHsnZGVzY3InOiAnPGYyJywgJ2ZvcnRyYW5fb3JkZXInOiBUcnVlLCAnc2hhcGUnOiAoMiwgMiksIH0gICAgICAgICAgICAgIC" +
    "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAPmYuAMAAfA==",
};

/** Magic, version, header, data: the format by hand. */
function file(header: string, data: ArrayBuffer, version = 1): Uint8Array {
  const text = new TextEncoder().encode(header);
  const lengthBytes = version === 1 ? 2 : 4;
  const bytes = new Uint8Array(8 + lengthBytes + text.length + data.byteLength);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  if (version === 1) new DataView(bytes.buffer).setUint16(8, text.length, true);
  else new DataView(bytes.buffer).setUint32(8, text.length, true);
  bytes.set(text, 8 + lengthBytes);
  bytes.set(new Uint8Array(data), 8 + lengthBytes + text.length);
  return bytes;
}

const header = (descr: string, shape: string, order = "False"): string =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`;

describe("reading", () => {
  test("files of NumPy itself", () => {
    const read = (name: keyof typeof WRITTEN_BY_NUMPY) => decodeNpy(Buffer.from(WRITTEN_BY_NUMPY[name], "base64"));
    expect(read("rows")).toEqual({ dtype: "int16", shape: [2, 3], data: Int16Array.of(1, -2, 3, 4, 5, -6) });
    const tenth = 1638 / 16384; // the half nearest to 0.1
    expect(read("columns")).toEqual({
      dtype: "float16",
      shape: [2, 2],
      data: Float32Array.of(1.5, -2, tenth, Infinity),
    });
    expect(Buffer.from(encodeNpy(read("rows"))).toString("base64")).toBe(WRITTEN_BY_NUMPY.rows);
  });

  test("big integers keep their digits, halves and truth values become numbers", () => {
    expect(decodeNpy(file(header("<i8", "(2,)"), BigInt64Array.of(-(2n ** 63n), 5n).buffer))).toEqual({
      dtype: "int64",
      shape: [2],
      data: BigInt64Array.of(-(2n ** 63n), 5n),
    });
    expect(decodeNpy(file(header("<f2", "(3,)"), Uint16Array.of(0x3c00, 0xfc00, 1).buffer))).toEqual({
      dtype: "float16",
      shape: [3],
      data: Float32Array.of(1, -Infinity, 2 ** -24),
    });
    expect(decodeNpy(file(header("|b1", "(3,)"), Uint8Array.of(0, 1, 255).buffer)).data).toEqual(
      Uint8Array.of(0, 1, 1),
    );
  });

  test("the other byte order, versions, scalars, nothing", () => {
    expect(decodeNpy(file(header(">i4", "(2,)"), Uint8Array.of(0, 0, 1, 2, 255, 255, 255, 254).buffer)).data).toEqual(
      Int32Array.of(258, -2),
    );
    expect(decodeNpy(file(header("<f8", "()"), Float64Array.of(0.1).buffer, 2))).toEqual({
      dtype: "float64",
      shape: [],
      data: Float64Array.of(0.1),
    });
    expect(decodeNpy(file(header("<f4", "(0, 3)"), new ArrayBuffer(0), 3)).shape).toEqual([0, 3]);
  });

  test("Fortran order: columns become rows", () => {
    // [[1, 2, 3], [4, 5, 6]] by columns
    const columns = file(header("<f4", "(2, 3)", "True"), Float32Array.of(1, 4, 2, 5, 3, 6).buffer);
    expect(decodeNpy(columns).data).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
    const cube = file(header("|u1", "(2, 1, 2)", "True"), Uint8Array.of(1, 3, 2, 4).buffer);
    expect(decodeNpy(cube).data).toEqual(Uint8Array.of(1, 2, 3, 4));
  });

  test.each(["<c8", "<U3", "|O", "<f16", "<V4"])("%s is refused by name", (descr) => {
    expect(() => decodeNpy(file(header(descr, "(1,)"), new ArrayBuffer(16)))).toThrow(UnsupportedError);
  });
});

test("writing gives back what was given, the elements at a multiple of 64 bytes", () => {
  for (const dtype of Object.keys(dtypes) as DType[])
    for (const shape of [[], [1], [3], [2, 0], [2, 3, 2]]) {
      const size = shape.reduce((product, extent) => product * extent, 1);
      const values = Array.from({ length: size }, (_, i) => (dtype === "bool" ? i % 2 : i));
      const tensor = tensorData(values, shape, dtype);
      const bytes = encodeNpy(tensor);
      const dataStart = 10 + new DataView(bytes.buffer).getUint16(8, true);
      expect(dataStart % 64).toBe(0);
      expect(bytes[dataStart - 1]).toBe(0x0a);
      const read = decodeNpy(bytes);
      expect([read.dtype, read.shape, Array.from(read.data as ArrayLike<unknown>, Number)]).toEqual([
        dtype,
        shape,
        values,
      ]);
      expect(encodeNpy(read)).toEqual(bytes);
    }
});

describe("damage", () => {
  const good = file(header("<f4", "(2,)"), Float32Array.of(1, 2).buffer);
  test.each([
    ["no bytes", new Uint8Array(0)],
    ["another format", new TextEncoder().encode("PK\u0003\u0004 and more")],
    ["an unknown version", file(header("<f4", "(1,)"), new ArrayBuffer(4), 9)],
    ["too few elements", file(header("<f4", "(3,)"), new ArrayBuffer(8))],
    ["bytes left over", file(header("<f4", "(1,)"), new ArrayBuffer(5))],
    ["no shape", file("{'descr': '<f4', 'fortran_order': False}\n", new ArrayBuffer(4))],
    ["a shape of words", file(header("<f4", "(a,)"), new ArrayBuffer(4))],
  ])("%s", (_, bytes) => {
    expect(() => decodeNpy(bytes)).toThrow(FormatError);
  });

  test("every file cut short is refused, every changed byte gives an array or a typed error", () => {
    for (let length = 0; length < good.length; length++)
      expect(() => decodeNpy(good.subarray(0, length)), `${length} bytes`).toThrow(FormatError);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (place, value) => {
        const changed = good.slice();
        changed[place] = value;
        try {
          decodeNpy(changed);
        } catch (error) {
          expect(error instanceof FormatError || error instanceof UnsupportedError).toBe(true);
        }
      }),
      { numRuns: 500, seed: 1 },
    );
  });
});
