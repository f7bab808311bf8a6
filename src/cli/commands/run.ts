// `neurite run MODEL --input name=file`: one run, its outputs in short or as files.

import { writeFile } from "node:fs/promises";
import { extname } from "node:path";
import { Command } from "commander";
import { UsageError } from "../../core/errors.ts";
import type { Backend } from "../../engine.ts";
import { formatShape } from "../../core/shape.ts";
import { asNumbers, encodeElements } from "../../formats/elements.ts";
import { encodeNpy } from "../../formats/npy.ts";
import { encodeTensor } from "../../formats/onnx/encode.ts";
import type { OnnxTensor } from "../../formats/onnx/tensor.ts";
import { formatTable } from "../../scheduler/plan.ts";
import { gatherInputs, withModel } from "../models.ts";
import { addInputOptions, backendOption, collectAssignment, parseCount, type InputOptions } from "../options.ts";

interface Options extends InputOptions {
  readonly backend: Backend;
  readonly output: ReadonlyMap<string, string>;
}

export function runCommand(): Command {
  const command = new Command("run")
    .description("run an ONNX model once")
    .argument("<model>", "an .onnx file")
    .addOption(backendOption());
  return addInputOptions(command)
    .option("--random <seed>", "draw inputs that are not given at random", parseCount)
    .option(
      "-o, --output <name=file>",
      "write an output as .npy or .pb; repeat for more",
      collectAssignment,
      new Map<string, string>(),
    )
    .action(async (file: string, { random, ...options }: Options & { readonly random?: number }) => {
      checkExtensions(options.output);
      await run(file, { ...options, ...(random !== undefined && { seed: random }) });
    });
}

async function run(file: string, options: Options): Promise<void> {
  await withModel(file, options, async (model) => {
    const names = model.outputs.map(({ name }) => name);
    for (const name of options.output.keys())
      if (!names.includes(name))
        throw new UsageError(`there is no output "${name}"; this model has ${names.join(", ")}`);
    const outputs = await model.run(await gatherInputs(model, options));
    console.log(outputTable(outputs));
    for (const [name, target] of options.output) await writeFile(target, encode(name, outputs[name]!, target));
  });
}

function checkExtensions(files: ReadonlyMap<string, string>): void {
  for (const file of files.values())
    if (![".npy", ".pb"].includes(extname(file).toLowerCase()))
      throw new UsageError(`${file}: outputs are written as .npy or .pb`);
}

function encode(name: string, tensor: OnnxTensor, file: string): Uint8Array {
  if (extname(file).toLowerCase() === ".npy") return encodeNpy(tensor);
  const { dtype, shape, data } = tensor;
  return encodeTensor({ name, dtype, shape, bytes: encodeElements(data, dtype) });
}

const SHOWN_ELEMENTS = 6;

function outputTable(outputs: Readonly<Record<string, OnnxTensor>>): string {
  const rows = Object.entries(outputs).map(([name, { dtype, shape, data }]) => {
    const { low, high, mean } = statistics(asNumbers(data));
    const first = Array.from(data.subarray(0, SHOWN_ELEMENTS) as ArrayLike<number | bigint>, short).join(" ");
    const more = data.length > SHOWN_ELEMENTS ? " …" : "";
    return [name, `${dtype} ${formatShape(shape)}`, low, high, mean, first + more];
  });
  return formatTable(["output", "type", "min", "max", "mean", "elements"], rows);
}

function statistics(values: ArrayLike<number>): Readonly<Record<"low" | "high" | "mean", string>> {
  if (values.length === 0) return { low: "", high: "", mean: "" };
  let [low, high, sum] = [Infinity, -Infinity, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    low = value < low ? value : low;
    high = value > high ? value : high;
    sum += value;
  }
  return { low: short(low), high: short(high), mean: short(sum / values.length) };
}

const short = (value: number | bigint): string =>
  typeof value === "bigint" || Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
