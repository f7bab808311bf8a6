// Exit codes of every command, and which error means which.

import {
  DeviceUnavailableError,
  DTypeError,
  FormatError,
  NeuriteError,
  ShapeError,
  UnsupportedError,
  UsageError,
} from "../core/errors.ts";

export const EXIT = {
  right: 0,
  /** The command did its work, and a result is wrong. */
  wrong: 1,
  /** Arguments that make no sense, a file that is missing or damaged. */
  usage: 2,
  /** Something valid that this build or machine cannot do. */
  unsupported: 3,
} as const;

/** The exit code for what a command threw; undefined for faults of the program itself. */
export function exitCodeOf(error: unknown): number | undefined {
  if (error instanceof UnsupportedError || error instanceof DeviceUnavailableError) return EXIT.unsupported;
  if (error instanceof UsageError || error instanceof FormatError) return EXIT.usage;
  if (error instanceof ShapeError || error instanceof DTypeError) return EXIT.usage;
  if (error instanceof NeuriteError) return EXIT.wrong;
  return isSystemError(error) ? EXIT.usage : undefined;
}

/** What the operating system refused: a file that is not there, or may not be read. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && "code" in error;
}
