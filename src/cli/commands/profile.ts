// `neurite profile MODEL`: how long each step takes, beside the work it does.

import { Command } from "commander";
import type { Backend } from "../../engine.ts";
import { gatherInputs, withModel } from "../models.ts";
import { addInputOptions, backendOption, parseCount, parsePositive, type InputOptions } from "../options.ts";

interface Options extends InputOptions {
  readonly backend: Backend;
  readonly repeats: number;
  readonly json?: boolean;
}

export function profileCommand(): Command {
  const command = new Command("profile")
    .description("time every step of a model")
    .argument("<model>", "an .onnx file")
    .addOption(backendOption());
  return addInputOptions(command)
    .option("--seed <number>", "for inputs that are not given, which are drawn at random", parseCount, 0)
    .option("--repeats <number>", "runs; each step's time is the median", parsePositive, 5)
    .option("--json", "print the reports as JSON")
    .action((file: string, options: Options) =>
      withModel(file, options, async (model) => {
        const inputs = await gatherInputs(model, options);
        const reports = await model.profile(inputs, { repeats: Math.ceil(options.repeats) });
        if (options.json) console.log(JSON.stringify(reports, undefined, 2));
        else for (const report of reports) console.log(String(report));
      }),
    );
}
