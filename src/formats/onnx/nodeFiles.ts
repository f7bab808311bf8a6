// Files of Node's: loaded only where a path is given.

import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { FormatError, UsageError, throwIfAborted } from "../../core/errors.ts";
import type { RandomAccess } from "./structure.ts";

const pathOf = (source: string | URL): string =>
  source instanceof URL || source.startsWith("file:") ? fileURLToPath(source) : source;

/** Bytes a single read asks for: more at once is refused by some systems. */
const READ_BYTES = 2 ** 26;

/** The file that `location` names beside a model. */
export function besidePath(model: string | URL, location: string): string {
  return join(dirname(pathOf(model)), location);
}

/** A whole file, read in chunks; of more than `fileBytes` the way to its parts. Throws UsageError when it cannot be read. */
export async function openPath(
  source: string | URL,
  fileBytes: number,
  onProgress: (done: number, total: number | undefined) => void,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | RandomAccess> {
  const path = pathOf(source);
  const { size } = await stat(path).catch((error: unknown) => {
    throw new UsageError(`load: ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  });
  if (size > fileBytes) return { size, read: (offset, length, stop) => readPart(path, offset, length, stop) };
  const bytes = new Uint8Array(size);
  let at = 0;
  for await (const chunk of createReadStream(path, { signal, highWaterMark: 1 << 22 }) as AsyncIterable<Uint8Array>) {
    if (at + chunk.length > size) throw new FormatError(`load: ${path} grew while it was read`);
    bytes.set(chunk, at);
    at += chunk.length;
    onProgress(at, size);
  }
  return bytes.subarray(0, at);
}

async function readPart(path: string, offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const bytes = new Uint8Array(length);
    let at = 0;
    while (at < length) {
      throwIfAborted(signal);
      const { bytesRead } = await file.read(bytes, at, Math.min(length - at, READ_BYTES), offset + at);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    return bytes.subarray(0, at);
  } finally {
    await file.close();
  }
}
