// `neurite verify MODEL`: every step of a run is held against the CPU reference; the first wrong one is named.

import { Command } from "commander";
import type { Backend } from "../../engine.ts";
import { EXIT } from "../exit.ts";
import { gatherInputs, withModel } from "../models.ts";
import { addInputOptions, backendOption, parseCount, type InputOptions } from "../options.ts";

interface Options extends InputOptions {
  readonly backend: Backend;
  readonly all?: boolean;
  readonly json?: boolean;
}

export function verifyCommand(exit: (code: number) => void): Command {
  const command = new Command("verify")
    .description("check every step of a model against the CPU reference")
    .argument("<model>", "an .onnx file")
    .addOption(backendOption());
  return addInputOptions(command)
    .option("--seed <number>", "for inputs that are not given, which are drawn at random", parseCount, 0)
    .option("--all", "list every step, not only the wrong ones")
    .option("--json", "print the reports as JSON")
    .action(async (file: string, options: Options) => {
      exit(await verify(file, options));
    });
}

function verify(file: string, options: Options): Promise<number> {
  return withModel(file, options, async (model) => {
    const reports = await model.verify(await gatherInputs(model, options));
    const passed = reports.every((report) => report.passed);
    if (options.json) console.log(JSON.stringify({ passed, reports }, undefined, 2));
    else
      for (const report of reports) {
        const text = String(report);
        console.log(options.all || !report.passed ? text : text.slice(text.lastIndexOf("\n") + 1));
      }
    if (!options.json && model.hostNodes.length > 0)
      console.log(
        `${model.hostNodes.length} nodes ran on the host and were not checked: ${model.hostNodes.join(", ")}`,
      );
    return passed ? EXIT.right : EXIT.wrong;
  });
}
