#!/usr/bin/env node
// The `neurite` command.

import { cli } from "./cli.ts";

process.exitCode = await cli(process.argv.slice(2));
