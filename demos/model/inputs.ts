// What a model is fed: extents its file leaves open, with a guess for each, and random values that a seed settles.

import { Random, UnsupportedError, UsageError, type OnnxInput, type OnnxInputs, type ValueInfo } from "neurite";
import type { OpenExtent, Settings } from "./protocol.ts";

/** Random integers are below this: small enough for token numbers and most indices. */
const RANDOM_INTEGERS = 10;
const MOST_ELEMENTS = 2 ** 26;

/** One field for every name of an extent, every nameless one, and every shape that is not declared at all. */
export function openExtents(inputs: readonly ValueInfo[], known: Readonly<Record<string, string>> = {}): OpenExtent[] {
  const fields = new Map<string, OpenExtent>();
  for (const { name, shape } of inputs) {
    if (!shape) {
      const key = `${name}#`;
      fields.set(key, { key, label: `Shape of ${name}`, kind: "shape", value: known[key] ?? "1" });
    }
    shape?.forEach((extent, axis) => {
      if (typeof extent === "number") return;
      const key = extent === "" ? `${name}#${axis}` : extent;
      if (fields.has(key)) return;
      const label = extent === "" ? `${name}, axis ${axis}` : extent;
      fields.set(key, { key, label, kind: "extent", value: known[key] ?? String(guess(extent, axis, shape.length)) });
    });
  }
  return [...fields.values()];
}

function guess(name: string, axis: number, rank: number): number {
  if (axis === 0 || /batch/i.test(name)) return 1;
  if (rank === 4) return axis === 1 ? 3 : 64;
  return 16;
}

/** Extents that have a name in the file, as `engine.load` takes them. */
export function namedExtents(inputs: readonly ValueInfo[], { extents }: Settings): Record<string, number> {
  const named: Record<string, number> = {};
  for (const { shape } of inputs)
    for (const extent of shape ?? [])
      if (typeof extent === "string" && extent !== "") named[extent] = wholeNumber(extents[extent], extent);
  return named;
}

/** Random values for every input; the command line draws the same for the same seed. */
export function randomInputs(
  inputs: readonly ValueInfo[],
  settings: Settings,
  hasDefault: (name: string) => boolean,
): OnnxInputs {
  const drawn: Record<string, OnnxInput> = {};
  inputs.forEach((info, stream) => {
    if (!hasDefault(info.name)) drawn[info.name] = randomInput(info, settings, stream);
  });
  return drawn;
}

function randomInput({ name, dtype, shape, kind }: ValueInfo, { extents, seed }: Settings, stream: number): OnnxInput {
  if (kind !== "tensor" || dtype === "string")
    throw new UnsupportedError(
      `Input "${name}" is a ${kind === "tensor" ? dtype : kind}; random values can be made for tensors of numbers only.`,
    );
  const settled = shape
    ? shape.map((extent, axis) =>
        typeof extent === "number"
          ? extent
          : wholeNumber(extents[extent === "" ? `${name}#${axis}` : extent], extent || name),
      )
    : (extents[`${name}#`] ?? "")
        .split(/[\s,×x]+/)
        .filter(Boolean)
        .map((extent) => wholeNumber(extent, name));
  const count = settled.reduce((product, extent) => product * extent, 1);
  if (count > MOST_ELEMENTS)
    throw new UsageError(`Input "${name}" would have ${count} elements. Choose smaller dimensions.`);
  const random = new Random(seed, stream);
  const draw = /float/.test(dtype)
    ? () => 2 * random.uniform() - 1
    : () => random.integer(dtype === "bool" ? 2 : RANDOM_INTEGERS);
  return { shape: settled, data: Float64Array.from({ length: count }, draw) };
}

function wholeNumber(text: string | undefined, name: string): number {
  const value = Number(text?.trim() || NaN);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new UsageError(`"${name}" needs a whole number, not "${text ?? ""}".`);
  return value;
}
