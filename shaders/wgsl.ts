// The `wgsl` template tag: wgsl-preprocessor's #if / #elif / #else / #endif, with interpolations checked. The package
// prints `undefined` and NaN silently and reads `#` inside interpolated text; here both throw at build time.
// This is the package's only importer.

import { wgsl as preprocess } from "wgsl-preprocessor/wgsl-preprocessor.js";
import { NeuriteError } from "../src/core/errors.ts";

type Interpolation = string | number | boolean;

/** WGSL text. Interpolates strings, finite numbers and, after `#if`/`#elif`, conditions. */
export function wgsl(strings: TemplateStringsArray, ...values: readonly Interpolation[]): string {
  values.forEach((value: unknown, i) => {
    const bad = value === undefined || (typeof value === "number" && !Number.isFinite(value));
    if (bad)
      throw new NeuriteError(`wgsl: interpolation ${i} is ${String(value)}, after "${(strings[i] ?? "").slice(-60)}"`);
  });
  return preprocess(strings, ...values);
}
