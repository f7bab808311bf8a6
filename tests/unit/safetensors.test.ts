// The safetensors codec against a file that the format's own Python package wrote, files made byte by byte from the format's
// description, and damaged ones: each must be refused with a FormatError, none may be misread.

import { describe, expect, test } from "vitest";
import fc from "fast-check";
import {
  decodeSafetensors,
  DTypeError,
  encodeSafetensors,
  FormatError,
  initialize,
  Linear,
  sequential,
  tensorData,
  UnsupportedError,
  UsageError,
  type DType,
  type TensorData,
} from "../../src/index.ts";
import { dtypes } from "../../src/core/dtype.ts";

/** Written by `safetensors.numpy.save` 0.8.0, with metadata and tensors of six types. */
const WRITTEN_BY_PYTHON =
  "mAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJub3RlIjoibmHDr3ZlIOKckyIsImZvcm1hdCI6Im5wIn0sImVtcHR5Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUi" +
  "OlswLDNdLCJkYXRhX29mZnNldHMiOlswLDBdfSwid2VpZ2h0Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyLDNdLCJkYXRhX29mZnNldHMiOlswLDI0XX0s" +
  "ImNvdW50Ijp7ImR0eXBlIjoiVTMyIiwic2hhcGUiOltdLCJkYXRhX29mZnNldHMiOlsyNCwyOF19LCJzdGVwcyI6eyJkdHlwZSI6IkkzMiIsInNoYXBlIjpb" +
  "Ml0sImRhdGFfb2Zmc2V0cyI6WzI4LDM2XX0sImhhbGYiOnsiZHR5cGUiOiJGMTYiLCJzaGFwZSI6WzVdLCJkYXRhX29mZnNldHMiOlszNiw0Nl19LCJtYXNr" +
  "Ijp7ImR0eXBlIjoiQk9PTCIsInNoYXBlIjpbM10sImRhdGFfb2Zmc2V0cyI6WzQ2LDQ5XX19ICAAAMA/AAAAwIKo+zcAAIB/AAAAAAAAAIAAKGvuBwAAAPj/" +
  "//8APADB/3sBAAB8AQAB";

const pythonFile = (): Uint8Array => Uint8Array.from(Buffer.from(WRITTEN_BY_PYTHON, "base64"));

/** Length, header, data: the format by hand. */
function file(header: string | Uint8Array, data: readonly number[] = [], length?: bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

const entry = (dtype: string, shape: unknown, offsets: unknown): string =>
  JSON.stringify({ dtype, shape, data_offsets: offsets });

describe("reading", () => {
  test("a file of the format's own package", () => {
    const { tensors, metadata } = decodeSafetensors(pythonFile());
    expect(metadata).toEqual(
      new Map([
        ["note", "naïve ✓"],
        ["format", "np"],
      ]),
    );
    expect(Object.fromEntries(tensors)).toEqual({
      empty: tensorData([], [0, 3]),
      weight: tensorData([1.5, -2, 3e-5, Infinity, 0, -0], [2, 3]),
      count: tensorData([4_000_000_000], [], "uint32"),
      steps: tensorData([7, -8], [2], "int32"),
      half: tensorData([1, -2.5, 65504, 2 ** -24, Infinity], [5]),
      mask: tensorData([1, 0, 1], [3], "bool"),
    });
  });

  test("a view into a larger buffer, unaligned", () => {
    const bytes = pythonFile();
    const padded = new Uint8Array(bytes.length + 7);
    padded.set(bytes, 3);
    const { tensors } = decodeSafetensors(padded.subarray(3, 3 + bytes.length));
    expect(tensors).toEqual(decodeSafetensors(bytes).tensors);
    expect(decodeSafetensors(bytes.slice().buffer).tensors.size).toBe(6);
  });

  test("bfloat16 and halves, bit by bit", () => {
    // 0x3f80 = 1, 0xc020 = -2.5, 0x7f80 = ∞, 0x0001 = 2⁻¹³³
    const brain = file(`{"b":${entry("BF16", [4], [0, 8])}}`, [0x80, 0x3f, 0x20, 0xc0, 0x80, 0x7f, 1, 0]);
    expect([...decodeSafetensors(brain).tensors.get("b")!.data]).toEqual([1, -2.5, Infinity, 2 ** -133]);
    // 0x7e00 = NaN, 0x8000 = -0, 0x03ff the largest denormal, 0x0400 the smallest normal
    const half = file(`{"h":${entry("F16", [4], [0, 8])}}`, [0, 0x7e, 0, 0x80, 0xff, 3, 0, 4]);
    expect([...decodeSafetensors(half).tensors.get("h")!.data]).toEqual([NaN, -0, 1023 * 2 ** -24, 2 ** -14]);
  });

  test("narrow and wide types, and what does not fit into 32 bits", () => {
    const read = (dtype: string, bytes: ArrayBuffer): TensorData => {
      const data = [...new Uint8Array(bytes)];
      const count = data.length / { I8: 1, U8: 1, I16: 2, U16: 2, I64: 8, U64: 8, F64: 8 }[dtype]!;
      return decodeSafetensors(file(`{"x":${entry(dtype, [count], [0, data.length])}}`, data)).tensors.get("x")!;
    };
    expect(read("I8", Int8Array.of(-128, 127).buffer)).toEqual(tensorData([-128, 127], [2], "int8"));
    expect(read("U8", Uint8Array.of(0, 255).buffer)).toEqual(tensorData([0, 255], [2], "uint8"));
    expect(read("I16", Int16Array.of(-32768).buffer)).toEqual(tensorData([-32768], [1], "int16"));
    expect(read("U16", Uint16Array.of(65535).buffer)).toEqual(tensorData([65535], [1], "uint16"));
    expect(read("I64", BigInt64Array.of(-(2n ** 31n)).buffer)).toEqual(tensorData([-(2 ** 31)], [1], "int64"));
    expect(read("U64", BigUint64Array.of(2n ** 32n - 1n).buffer)).toEqual(tensorData([2 ** 32 - 1], [1], "uint64"));
    expect(read("F64", Float64Array.of(0.1, NaN, -Infinity).buffer)).toEqual(
      tensorData([0.1, NaN, -Infinity], [3], "float64"),
    );
    expect(() => read("I64", BigInt64Array.of(2n ** 31n).buffer)).toThrow(DTypeError);
    expect(() => read("U64", BigUint64Array.of(2n ** 32n).buffer)).toThrow(/"x".*4294967296 does not fit/);
    expect(() => read("F64", Float64Array.of(1e39).buffer)).toThrow(DTypeError);
  });

  test("an empty file of nothing, and names that objects would lose", () => {
    expect(decodeSafetensors(file("{}")).tensors.size).toBe(0);
    const { tensors } = decodeSafetensors(
      file(`{"__proto__":${entry("I32", [], [0, 4])},"":${entry("F32", [0], [4, 4])}}`, [7, 0, 0, 0]),
    );
    expect([...tensors.keys()]).toEqual(["__proto__", ""]);
  });
});

describe("writing", () => {
  test("gives back what it was given, aligned and padded", () => {
    const tensors = new Map<string, TensorData>([
      ["mask", tensorData([1, 0, 1], [3], "bool")],
      ["0.weight", tensorData([1.5, NaN, -0, Infinity], [2, 2])],
      ["__proto__", tensorData([-1], [], "int32")],
      ["empty", tensorData([], [4, 0])],
      ["count", tensorData(Uint32Array.of(4_000_000_000).subarray(0), [1])],
    ]);
    const bytes = encodeSafetensors(tensors, new Map([["epoch", "3"]]));
    const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(headerBytes % 8).toBe(0);
    expect(bytes.length).toBe(8 + headerBytes + 16 + 4 + 4 + 3);
    const read = decodeSafetensors(bytes);
    expect(Object.fromEntries([...read.tensors].map(([name, value]) => [`=${name}`, value]))).toEqual(
      Object.fromEntries([...tensors].map(([name, value]) => [`=${name}`, value])),
    );
    expect(read.metadata).toEqual(new Map([["epoch", "3"]]));
  });

  test("every type in its own size", () => {
    const types = Object.keys(dtypes) as DType[];
    const sizes = { float32: 4, float16: 2, float64: 8, int8: 1, uint8: 1, int16: 2, uint16: 2, int32: 4, uint32: 4 };
    const bytesOf: Record<string, number> = { ...sizes, int64: 8, uint64: 8, bool: 1 };
    for (const dtype of types) {
      const values = dtype.startsWith("u") || dtype === "bool" ? [1, 0, 1] : [1, 0, -2];
      const bytes = encodeSafetensors([["x", tensorData(values, [3], dtype)]]);
      const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
      expect(bytes.length - headerBytes - 8, dtype).toBe(3 * bytesOf[dtype]!);
      const read = dtype === "float16" ? "float32" : dtype; // halves are computed with in full precision
      expect(decodeSafetensors(bytes).tensors.get("x"), dtype).toEqual(tensorData(values, [3], read));
    }
  });

  test("a network's weights survive", () => {
    const [net, copy] = [
      sequential(new Linear(3, 4), new Linear(4, 2)),
      sequential(new Linear(3, 4), new Linear(4, 2)),
    ];
    initialize(net, 1);
    initialize(copy, 2);
    copy.loadStateDict(decodeSafetensors(encodeSafetensors(net.stateDict())).tensors);
    expect(copy.stateDict()).toEqual(net.stateDict());
  });

  test("refuses names and sizes that would make a damaged file", () => {
    expect(() => encodeSafetensors([["__metadata__", tensorData([1], [1])]])).toThrow(UsageError);
    const twice = [["a", tensorData([1], [1])] as const, ["a", tensorData([2], [1])] as const];
    expect(() => encodeSafetensors(twice)).toThrow(UsageError);
    expect(() => encodeSafetensors([["a", { dtype: "float32", shape: [2], data: new Float32Array(3) }]])).toThrow(
      UsageError,
    );
  });
});

describe("damage", () => {
  const four = [0, 0, 0, 0];
  const a = (shape: unknown, offsets: unknown): string => `"a":${entry("F32", shape, offsets)}`;
  const cases: [title: string, bytes: Uint8Array, message: RegExp][] = [
    ["no bytes", new Uint8Array(0), /too few/],
    ["half a length", new Uint8Array(5), /too few/],
    ["a header longer than the file", file("{}", [], 3n), /cut short/],
    ["a header of 2⁶⁴ - 1 bytes", file("{}", [], 2n ** 64n - 1n), /cut short/],
    ["no header", file(""), /begin with/],
    ["white space before the header", file(" {}"), /begin with/],
    ["a list for a header", file("[]"), /begin with/],
    ["bad JSON", file('{"a":}'), /not JSON/],
    ["text after the header's end", file("{}{}"), /not JSON/],
    ["bad UTF-8", file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)), /not JSON/],
    ["a name twice", file(`{${a([1], [0, 4])},"\\u0061":${entry("F32", [1], [0, 4])}}`, four), /"a" twice/],
    [
      "a field twice",
      file('{"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}}', four),
      /"dtype" twice/,
    ],
    ["an unknown type", file(`{"a":${entry("F31", [1], [0, 4])}}`, four), /unknown dtype "F31"/],
    ["a type named like a method", file(`{"a":${entry("toString", [1], [0, 4])}}`, four), /unknown dtype/],
    ["no type", file('{"a":{"shape":[1],"data_offsets":[0,4]}}', four), /no dtype/],
    [
      "an unknown field",
      file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', four),
      /unknown fields: x/,
    ],
    ["a negative extent", file(`{${a([-1], [0, 4])}}`, four), /no shape/],
    ["a broken extent", file(`{${a([0.5], [0, 4])}}`, four), /no shape/],
    ["a shape that is a number", file(`{${a(1, [0, 4])}}`, four), /no shape/],
    ["three offsets", file(`{${a([1], [0, 4, 8])}}`, four), /data_offsets/],
    ["offsets the wrong way round", file(`{${a([1], [4, 0])}}`, four), /lies at bytes 4 to 0/],
    ["offsets past the end", file(`{${a([2], [0, 8])}}`, four), /there are 4/],
    ["fewer bytes than the shape takes", file(`{${a([2], [0, 4])}}`, four), /takes 8 bytes, and it has 4/],
    ["a shape beyond all numbers", file(`{${a([2 ** 40, 2 ** 40], [0, 4])}}`, four), /takes/],
    [
      "overlap",
      file(`{${a([1], [0, 4])},"b":${entry("F32", [1], [2, 6])}}`, [...four, 0, 0]),
      /inside the tensor before/,
    ],
    [
      "the same bytes twice",
      file(`{${a([1], [0, 4])},"b":${entry("F32", [1], [0, 4])}}`, four),
      /inside the tensor before/,
    ],
    ["a gap", file(`{${a([1], [4, 8])}}`, [...four, ...four]), /belong to no tensor/],
    ["bytes left over", file(`{${a([1], [0, 4])}}`, [...four, 0]), /1 bytes after/],
    ["a tensor that is a number", file('{"a":1}'), /not an object/],
    ["metadata that is a list", file('{"__metadata__":[]}'), /not an object/],
    ["metadata that is no text", file('{"__metadata__":{"n":1}}'), /not a string/],
    ["a truth value of 2", file(`{"a":${entry("BOOL", [1], [0, 1])}}`, [2]), /element 0 is 2/],
  ];
  test.each(cases)("%s", (_, bytes, message) => {
    expect(() => decodeSafetensors(bytes)).toThrow(FormatError);
    expect(() => decodeSafetensors(bytes)).toThrow(message);
  });

  test.each(["F8_E4M3", "F4", "C64"])("%s is known and not offered", (dtype) => {
    expect(() => decodeSafetensors(file(`{"a":${entry(dtype, [0], [0, 0])}}`))).toThrow(UnsupportedError);
  });

  test("deep nesting ends in an error, not in a crash", () => {
    const deep = `{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`;
    expect(() => decodeSafetensors(file(deep))).toThrow(FormatError);
  });

  test("every file cut short is refused", () => {
    const bytes = pythonFile();
    for (let length = 0; length < bytes.length; length++)
      expect(() => decodeSafetensors(bytes.subarray(0, length)), `${length} bytes`).toThrow(FormatError);
  });

  test("any byte changed gives a file or a typed error", () => {
    const bytes = pythonFile();
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (place, value) => {
        const changed = bytes.slice();
        changed[place] = value;
        try {
          decodeSafetensors(changed);
        } catch (error) {
          expect(error instanceof FormatError || error instanceof UnsupportedError).toBe(true);
        }
      }),
      { numRuns: 2000, seed: 1 },
    );
  });
});
