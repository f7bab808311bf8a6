// A WGSL compile error a person can act on: each message with its line, column and the source lines around it.

import { GpuError, GpuValidationError, messageOf } from "../core/errors.ts";

const contextLines = 2;

/** The parts of `GPUCompilationMessage` that are shown. */
export type CompilationMessage = Pick<GPUCompilationMessage, "type" | "message" | "lineNum" | "linePos" | "length">;

/** The typed error for a pipeline that failed by `cause`; `moduleError` is what the module's own error scope caught. */
export async function compileError(
  wgsl: string,
  label: string,
  module: GPUShaderModule,
  moduleError: Promise<GPUError | null>,
  cause: unknown,
): Promise<GpuError> {
  const messages = await compilationErrors(module);
  if (messages.length > 0) {
    const report = `WGSL of ${label} does not compile\n${formatCompilation(wgsl, messages)}`;
    return new GpuValidationError(report, undefined, { cause });
  }
  const caught = await moduleError.catch(() => null);
  const text = `the pipeline of ${label} cannot be made: ${caught?.message ?? messageOf(cause)}`;
  const isInternal = (cause as Partial<GPUPipelineError>).reason === "internal";
  return new (isInternal ? GpuError : GpuValidationError)(text, undefined, { cause });
}

async function compilationErrors(module: GPUShaderModule): Promise<GPUCompilationMessage[]> {
  const info = await (module.getCompilationInfo as typeof module.getCompilationInfo | undefined)
    ?.call(module)
    .catch(() => undefined);
  return (info?.messages ?? []).filter((message) => message.type === "error");
}

/** `type` and position of each message above the source lines it points at. Lines and columns count from 1. */
export function formatCompilation(wgsl: string, messages: readonly CompilationMessage[]): string {
  const lines = wgsl.split("\n");
  return messages.map((message) => formatMessage(lines, message)).join("\n");
}

function formatMessage(lines: readonly string[], message: CompilationMessage): string {
  const { type, lineNum, linePos, length } = message;
  if (lineNum === 0) return `${type}: ${message.message}`; // about the module as a whole
  const first = Math.max(1, lineNum - contextLines);
  const last = Math.min(lines.length, lineNum + contextLines);
  const shown: string[] = [`${type} at line ${lineNum}, column ${linePos}: ${message.message}`];
  for (let number = first; number <= last; number++) {
    const text = lines[number - 1] ?? "";
    shown.push(`${number === lineNum ? ">" : " "}${String(number).padStart(5)} | ${text}`);
    if (number !== lineNum) continue;
    const indent = text.slice(0, Math.max(0, linePos - 1)).replace(/[^\t]/g, " ");
    const width = Math.max(1, Math.min(length, text.length - indent.length));
    shown.push(`       | ${indent}${"^".repeat(width)}`);
  }
  return shown.join("\n");
}
