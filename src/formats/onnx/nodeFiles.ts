// Files of Node's: loaded only where a path is given.

import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { FormatError, UsageError } from "../../core/errors.ts";

const pathOf = (source: string | URL): string =>
  source instanceof URL || source.startsWith("file:") ? fileURLToPath(source) : source;

/** A whole file, in chunks. Throws UsageError when it cannot be read. */
export async function readPath(
  source: string | URL,
  onProgress: (done: number, total: number | undefined) => void,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const path = pathOf(source);
  const { size } = await stat(path).catch((error: unknown) => {
    throw new UsageError(`load: ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  });
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

/** Reads parts of files beside a model, checked against their size before anything is allocated. */
export function readBeside(source: string | URL) {
  const folder = dirname(pathOf(source));
  return async (location: string, offset: number, length: number | undefined): Promise<Uint8Array> => {
    const path = join(folder, location);
    const file = await open(path).catch((error: unknown) => {
      throw new FormatError(`ONNX: external data ${path} cannot be read: ${(error as Error).message}`, {
        cause: error,
      });
    });
    try {
      const { size } = await file.stat();
      const count = Math.max(0, Math.min(length ?? size, size - offset));
      const bytes = new Uint8Array(count);
      let at = 0;
      while (at < count) {
        const { bytesRead } = await file.read(bytes, at, Math.min(count - at, 1 << 26), offset + at);
        if (bytesRead === 0) break;
        at += bytesRead;
      }
      return bytes.subarray(0, at);
    } finally {
      await file.close();
    }
  };
}
