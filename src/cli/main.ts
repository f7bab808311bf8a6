#!/usr/bin/env node
// The `neurite` command.

import { cli } from "./cli.ts";

// A reader that has seen enough (`| head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

process.exitCode = await cli(process.argv.slice(2));
