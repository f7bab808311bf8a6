// The command's parts put together. What sub-commands throw ends here, in one line and an exit code.

import { Command, CommanderError } from "commander";
import { conformanceCommand } from "./commands/conformance.ts";
import { exportCommand } from "./commands/export.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { profileCommand } from "./commands/profile.ts";
import { runCommand } from "./commands/run.ts";
import { tuneCommand } from "./commands/tune.ts";
import { verifyCommand } from "./commands/verify.ts";
import { EXIT, exitCodeOf } from "./exit.ts";

/** Carries out a command line (without the program's name); returns the exit code. Throws faults of the program itself. */
export async function cli(args: readonly string[]): Promise<number> {
  let code: number = EXIT.right;
  const exit = (given: number): void => void (code = given);
  const program = new Command("neurite")
    .description("Runs, inspects and checks neural networks on WebGPU.")
    .addHelpText("after", "\nExit codes: 0 right, 1 wrong result, 2 bad usage or file, 3 not supported here.")
    .addCommand(runCommand())
    .addCommand(inspectCommand(exit))
    .addCommand(verifyCommand(exit))
    .addCommand(profileCommand())
    .addCommand(tuneCommand())
    .addCommand(exportCommand())
    .addCommand(conformanceCommand(exit));
  for (const command of [program, ...program.commands]) command.exitOverride();
  try {
    await program.parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.right : EXIT.usage;
    const failure = exitCodeOf(error);
    if (failure === undefined) throw error;
    console.error(`neurite: ${error instanceof Error ? error.message : String(error)}`);
    return failure;
  }
}
