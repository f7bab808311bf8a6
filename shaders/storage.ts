// Kernels on narrow storage. Strategies read `x[i]` and store `y[i] = …` as if every element were a word; where a buffer
// holds two or four elements a word, or halves, their text is rewritten here after it was assembled: a read becomes a call
// that unpacks, a store a conversion. So no strategy knows of storage, and every strategy works with every kind of it.

import { dtypes, type DType } from "../src/core/dtype.ts";
import type { Storage } from "../src/core/storage.ts";
import type { AssembledKernel } from "./assemble.ts";

/** What a binding holds, where it is not words. */
export interface NarrowBinding {
  readonly storage: Storage;
  readonly dtype: DType;
}

/** The kernel with the given bindings (by number; undefined for words) read and written in their storage. */
export function withStorage(
  kernel: AssembledKernel,
  bindings: readonly (NarrowBinding | undefined)[],
): AssembledKernel {
  let { wgsl } = kernel;
  for (const [number, binding] of bindings.entries()) if (binding) wgsl = rewrite(wgsl, number, binding);
  const needsHalf = bindings.some((binding) => binding?.storage === "half");
  return { ...kernel, wgsl: needsHalf && !wgsl.includes("enable f16;") ? `enable f16;\n${wgsl}` : wgsl };
}

/** How a kernel sees one binding. */
interface View {
  readonly name: string;
  /** Scalar type in the kernel's text: `f32`, `i32` or `u32`. */
  readonly scalar: string;
  readonly width: 1 | 2 | 4;
}

const typeOf = (scalar: string, width: number): string => (width === 1 ? scalar : `vec${width}<${scalar}>`);

function rewrite(wgsl: string, number: number, { storage, dtype }: NarrowBinding): string {
  const declared = new RegExp(
    String.raw`(@group\(0\) @binding\(${number}\) var<storage, \w+> (\w+): )array<(?:vec([24])<)?(\w+)>?>;`,
  ).exec(wgsl);
  if (!declared) throw new Error(`no storage binding ${number} in the kernel's text`);
  const [declaration, head, name, width = "1", scalar] = declared as unknown as [
    string,
    string,
    string,
    string?,
    string?,
  ];
  const view: View = { name, scalar: scalar!, width: Number(width) as View["width"] };
  const before = wgsl.slice(0, declared.index);
  const after = wgsl.slice(declared.index + declaration.length);
  if (storage === "half") {
    // Arithmetic stays in f32: an operator rounds once, as its reference does.
    const [element, word] = [typeOf("f16", view.width), typeOf(view.scalar, view.width)];
    const text = replaceAccesses(after, name, {
      read: (index) => `${word}(${name}[${index}])`,
      store: (index, value) => `${name}[${index}] = ${element}(${value})`,
    });
    return `${before}${head}array<${element}>;${text}`;
  }
  let reader = `read_${name}`;
  while (wgsl.includes(reader)) reader += "_";
  const { element, body } = unpacking(view, storage, dtype);
  const text = replaceAccesses(after, name, { read: (index) => `${reader}(u32(${index}))` });
  const type = typeOf(view.scalar, view.width);
  return `${before}${head}array<${element}>;\nfn ${reader}(i: u32) -> ${type} { return ${body}; }${text}`;
}

/** Type of the packed elements, and the WGSL expression of view `i` of them. */
function unpacking(view: View, storage: Exclude<Storage, "half">, dtype: DType): { element: string; body: string } {
  const { name, width } = view;
  const own = dtypes[dtype].wgsl;
  const { element, body, scalar } = storage === "float16" ? halves(name, width) : integers(name, width, storage);
  const value = scalar === own ? body : `${typeOf(own, width)}(${body})`;
  return { element, body: own === view.scalar ? value : `bitcast<${typeOf(view.scalar, width)}>(${value})` };
}

interface Unpacked {
  readonly element: string;
  readonly body: string;
  readonly scalar: string;
}

function halves(name: string, width: View["width"]): Unpacked {
  const pair = (word: string): string => `unpack2x16float(${word})`;
  switch (width) {
    case 1:
      return { element: "u32", body: `${pair(`${name}[i >> 1u] >> ((i & 1u) << 4u)`)}.x`, scalar: "f32" };
    case 2:
      return { element: "u32", body: pair(`${name}[i]`), scalar: "f32" };
    case 4:
      return {
        element: "vec2<u32>",
        body: `vec4<f32>(${pair(`${name}[i].x`)}, ${pair(`${name}[i].y`)})`,
        scalar: "f32",
      };
  }
}

/** Integers of 8 or 16 bits: moved to the top of the word, then down again, so that their sign fills it. */
function integers(name: string, width: View["width"], storage: Exclude<Storage, "float16" | "half">): Unpacked {
  const bits = storage === "int8" || storage === "uint8" ? 8 : 16;
  const isSigned = storage === "int8" || storage === "int16";
  const perWord = 32 / bits;
  const scalar = isSigned ? "i32" : "u32";
  const down = (text: string, by: string): string =>
    isSigned ? `bitcast<${typeOf(scalar, width)}>(${text}) >> ${by}` : `(${text}) >> ${by}`;
  if (width === 1) {
    const word = `${name}[i / ${perWord}u]`;
    return {
      element: "u32",
      body: down(`${word} << ((~i & ${perWord - 1}u) * ${bits}u)`, `${32 - bits}u`),
      scalar,
    };
  }
  // The words that hold the elements of the vector, element by element, and how far from the top each is.
  const words: Record<string, string> = {
    "2 of 8": `vec2<u32>(${name}[i >> 1u] << ((~i & 1u) << 4u))`,
    "2 of 16": `vec2<u32>(${name}[i])`,
    "4 of 8": `vec4<u32>(${name}[i])`,
    "4 of 16": `${name}[i].xxyy`,
  };
  const neighbours = Math.min(width, perWord);
  const up = Array.from({ length: width }, (_, lane) => `${bits * (neighbours - 1 - (lane % neighbours))}u`);
  const moved = `${words[`${width} of ${bits}`]!} << vec${width}<u32>(${up.join(", ")})`;
  return {
    element: width * bits === 64 ? "vec2<u32>" : "u32",
    body: down(moved, `vec${width}<u32>(${32 - bits}u)`),
    scalar,
  };
}

interface Replacement {
  readonly read: (index: string) => string;
  /** Undefined where the binding is read only. */
  readonly store?: (index: string, value: string) => string;
}

/** `text` with every `name[index]`, those inside indices too, replaced. Comments stay as they are. */
export function replaceAccesses(text: string, name: string, replacement: Replacement): string {
  const pattern = new RegExp(String.raw`//[^\n]*|(?<![\w.])${name}\s*\[`, "g");
  let result = "";
  let done = 0;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    if (match[0].startsWith("//")) continue;
    const open = pattern.lastIndex - 1;
    const close = closingBracket(text, open);
    const index = replaceAccesses(text.slice(open + 1, close), name, replacement);
    result += text.slice(done, match.index);
    done = close + 1;
    const assigned = /^\s*([-+*/|&^%]?)=(?!=)/.exec(text.slice(done));
    if (assigned) {
      if (assigned[1] !== "" || !replacement.store)
        throw new Error(`a kernel must store ${name}[i] by a plain assignment: ${text.slice(match.index, done + 20)}`);
      const end = text.indexOf(";", done);
      const value = replaceAccesses(text.slice(done + assigned[0].length, end).trim(), name, replacement);
      result += replacement.store(index, value);
      done = end;
    } else result += replacement.read(index);
    pattern.lastIndex = done;
  }
  return result + text.slice(done);
}

function closingBracket(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === "[") depth++;
    else if (text[i] === "]" && --depth === 0) return i;
  }
  throw new Error(`an unclosed bracket in a kernel's text: ${text.slice(open, open + 40)}`);
}
