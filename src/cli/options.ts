// Options several commands share, and how their texts are read.

import { InvalidArgumentError, Option, type Command } from "commander";
import type { Backend } from "../engine.ts";
import type { Dims, PictureOptions } from "./inputs/files.ts";

/** `--backend gpu|cpu`. */
export function backendOption(): Option {
  return new Option("--backend <name>", "where to compute: gpu, or cpu, the slow and exact reference")
    .choices(["gpu", "cpu"] satisfies Backend[])
    .default("gpu");
}

/** `--dims batch=1,length=16`, also given several times. */
export function dimsOption(): Option {
  return new Option("--dims <name=extent…>", "extents of symbolic dimensions, e.g. batch=1,length=16")
    .default({}, "none")
    .argParser((text: string, before: Dims) => {
      const dims: Record<string, number> = { ...before };
      for (const part of text.split(",")) {
        const [name, extent] = assignment(part);
        dims[name] = parseCount(extent);
      }
      return dims;
    });
}

/** What the options of {@link addInputOptions} say. */
export interface InputOptions extends Omit<PictureOptions, "width" | "height"> {
  readonly input: ReadonlyMap<string, string>;
  readonly dims: Dims;
  readonly size?: { readonly width: number; readonly height: number };
  readonly seed?: number;
}

/** Options that say what a model is fed with. */
export function addInputOptions(command: Command): Command {
  return command
    .option(
      "-i, --input <name=value>",
      "an input: .npy, .pb, .png, .jpg, .wav, or numbers 1,2,3; repeat for more",
      collectAssignment,
      new Map<string, string>(),
    )
    .addOption(dimsOption())
    .option("--size <WxH>", "resize pictures; default: as the model declares", parseSize)
    .option("--scale <number>", "divide pictures' bytes by this; default 255", parsePositive)
    .option("--mean <numbers>", "subtract from pictures then, for all channels or each", parseNumbers)
    .option("--std <numbers>", "divide pictures by this at last", parseNumbers)
    .addOption(
      new Option("--layout <name>", "axes of pictures; default: as the model declares").choices(["nchw", "nhwc"]),
    )
    .option("--bgr", "channels of pictures in the order blue, green, red");
}

/** The options for pictures among them. */
export function pictureOptions({ size, scale, mean, std, layout, bgr }: InputOptions): PictureOptions {
  return {
    ...size,
    ...(scale !== undefined && { scale }),
    ...(mean !== undefined && { mean }),
    ...(std !== undefined && { std }),
    ...(layout !== undefined && { layout }),
    ...(bgr !== undefined && { bgr }),
  };
}

/** Adds `name=value` to what was given before. */
export function collectAssignment(text: string, before: ReadonlyMap<string, string>): Map<string, string> {
  const [name, value] = assignment(text);
  if (before.has(name)) throw new InvalidArgumentError(`"${name}" is given twice`);
  return new Map([...before, [name, value]]);
}

/** Names may hold `=`, files may not begin with one: the first sign divides. */
function assignment(text: string): [name: string, value: string] {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1) throw new InvalidArgumentError(`expected name=value, got "${text}"`);
  return [text.slice(0, at), text.slice(at + 1)];
}

/** A regular expression. */
export function parsePattern(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

/** A positive number. */
export function parsePositive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError("expected a number above 0");
  return value;
}

/** A whole number of at least 0. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError(`expected a whole number, got "${text}"`);
  return value;
}

function parseNumbers(text: string): number[] {
  const numbers = text.split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
  if (!numbers.every(Number.isFinite))
    throw new InvalidArgumentError(`expected numbers such as 0.5,0.5,0.5, got "${text}"`);
  return numbers;
}

function parseSize(text: string): { width: number; height: number } {
  const [width, height] =
    /^(\d+)(?:[x×](\d+))?$/
      .exec(text)
      ?.slice(1)
      .map((part) => Number(part || NaN)) ?? [];
  if (!width) throw new InvalidArgumentError(`expected width x height, e.g. 320x240, got "${text}"`);
  return { width, height: height! > 0 ? height! : width };
}
