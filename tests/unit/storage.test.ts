// How kernels' text changes where a binding holds less than words, and what constants fit which storage.

import { describe, expect, test } from "vitest";
import { NarrowestStorage } from "../../src/core/storage.ts";
import type { AssembledKernel } from "../../shaders/assemble.ts";
import { withStorage, type NarrowBinding } from "../../shaders/storage.ts";

const declared = (type: string): string =>
  `@group(0) @binding(0) var<storage, read> x: array<${type}>;\n@group(0) @binding(1) var<storage, read_write> y: array<${type}>;\n`;

function rewritten(body: string, bindings: readonly (NarrowBinding | undefined)[], type = "f32"): string {
  const kernel: AssembledKernel = {
    wgsl: declared(type) + body,
    storage: ["read", "read_write"],
    operands: [
      { kind: "input", index: 0 },
      { kind: "output", index: 0 },
    ],
    uniforms: [],
    workgroups: [1, 1, 1],
  };
  return withStorage(kernel, bindings).wgsl;
}

const packed: NarrowBinding = { storage: "float16", dtype: "float16" };
const half: NarrowBinding = { storage: "half", dtype: "float16" };
/** The line of `text` that holds `part`. */
const lineOf = (text: string, part: string): string | undefined => text.split("\n").find((line) => line.includes(part));

describe("kernels' text", () => {
  test("stays as it is where nothing is narrow", () => {
    const body = "let v = x[i];\ny[i] = v;";
    expect(rewritten(body, [undefined, undefined])).toBe(declared("f32") + body);
  });

  test("reads become calls, inside indices and values too; other names and comments stay", () => {
    const body = "// x [N, C], y [N]\ny[u32(x[y[j]])] = x[i + u32(x[k])] + fx[1] + u.x[2] + max_x; // x[0]";
    const text = rewritten(body, [packed, undefined]);
    expect(text).toContain(
      "// x [N, C], y [N]\ny[u32(read_x(u32(y[j])))] = read_x(u32(i + u32(read_x(u32(k))))) + fx[1] + u.x[2] + max_x; // x[0]",
    );
    expect(lineOf(text, "@binding(0)")).toContain("x: array<u32>;");
    expect(lineOf(text, "fn read_x")).toContain("unpack2x16float(");
  });

  test("stores of halves convert, comparisons do not store", () => {
    const text = rewritten("if (y[i] == x[i]) { y[i] = min(x[y[i]], y[j]); }", [undefined, half]);
    expect(text).toContain("enable f16;\n@group(0)");
    expect(text).toContain("if (f32(y[i]) == x[i]) { y[i] = f16(min(x[f32(y[i])], f32(y[j]))); }");
  });

  test("vectors are read as vectors", () => {
    const text = (binding: NarrowBinding, scalar: string): string =>
      rewritten("let v = x[i].y;", [binding, undefined], `vec4<${scalar}>`);
    expect(text(packed, "f32")).toContain("x: array<vec2<u32>>;");
    expect(text({ storage: "uint8", dtype: "uint8" }, "u32")).toContain("x: array<u32>;");
    expect(text({ storage: "int8", dtype: "float32" }, "f32")).toMatch(
      /-> vec4<f32> \{ return vec4<f32>\(bitcast<vec4<i32>>/,
    );
    expect(text(half, "f32")).toContain("let v = vec4<f32>(x[i]).y;");
  });

  test("a name that is taken is not taken again", () => {
    expect(rewritten("fn read_x() {}\nlet v = x[i];", [packed, undefined])).toContain("let v = read_x_(u32(i));");
  });

  test("what cannot be rewritten is said", () => {
    expect(() => rewritten("y[i] += 1.0;", [undefined, half])).toThrow("a plain assignment");
    expect(() => rewritten("x[i] = 1.0;", [packed, undefined])).toThrow("a plain assignment");
  });
});

describe("the narrowest storage", () => {
  const of = (values: readonly number[], dtype: "float32" | "int32" = "float32"): string | undefined => {
    const search = new NarrowestStorage(dtype);
    const data = dtype === "float32" ? Float32Array.from(values) : Int32Array.from(values);
    return search.add(data) ? search.storage : undefined;
  };

  test.each([
    [[-128, 127], "int8"],
    [[0, 255], "uint8"],
    [[-1, 128], "int16"],
    [[0, 65535], "uint16"],
    [[0, 65536], undefined],
    [[0.5, 65504], "float16"],
    [[0.5, 65505], undefined],
    [[2 ** -24, -(2 ** -24)], "float16"],
    [[2 ** -25], undefined],
    [[1 / 3], undefined],
    [[0.5, Infinity], undefined],
    [[NaN], undefined],
    [[-0, 1], "float16"], // an integer has no -0
  ])("of %j is %s", (values, storage) => {
    expect(of(values)).toBe(storage);
  });

  test("of integers is no float", () => {
    expect(of([-40000, 3], "int32")).toBeUndefined();
    expect(of([40000, 3], "int32")).toBe("uint16");
  });
});
