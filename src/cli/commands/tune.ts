// `neurite tune MODEL`: measures rival kernels of a model on this adapter and keeps the winners for later runs.

import { writeFile } from "node:fs/promises";
import { Command } from "commander";
import { createEngine } from "../../engine.ts";
import { gatherInputs } from "../models.ts";
import { addInputOptions, parseCount, parsePositive, type InputOptions } from "../options.ts";

interface Options extends InputOptions {
  readonly budget: number;
  readonly again?: boolean;
  readonly json?: string;
}

const LINE = 110;

export function tuneCommand(): Command {
  const command = new Command("tune")
    .description("measure rival kernels of a model here; later runs take the winners")
    .argument("<model>", "an .onnx file")
    .option("--budget <seconds>", "time to spend", parsePositive, 30)
    .option("--again", "measure again what is known")
    .option("--json <file>", "write the table to a file, for engine.importTuning");
  return addInputOptions(command)
    .option("--seed <number>", "for inputs that are not given, which are drawn at random", parseCount, 0)
    .action(tune);
}

async function tune(file: string, { budget, again = false, json, ...options }: Options): Promise<void> {
  using engine = await createEngine({ tuning: true });
  using model = await engine.load(file, { dims: options.dims });
  // Shapes may depend on the inputs: what a run compiles is what is tuned.
  if (model.plans.length === 0) await model.run(await gatherInputs(model, options));
  const show = (text: string): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text.slice(0, LINE)}`);
  };
  const report = await engine.tune(model, {
    budgetMs: budget * 1000,
    again,
    onProgress: ({ done, total, what }) => {
      show(`${done} of ${total} ${what}`);
    },
  });
  show("");
  console.log(String(report));
  if (json !== undefined) await writeFile(json, JSON.stringify(await engine.exportTuning()));
}
