// Unpacking an archive once per machine and user, safely when several processes start at the same time: each unpacks into
// a folder of its own, writes a list of its files and their sizes, and renames it into place. A rename happens whole or not
// at all; whoever comes second uses the first one's folder. The sizes are checked at every start, so that a folder damaged
// since (a full disk, a cleaner of /tmp) is replaced. Libraries get loaded from it: folders other users can write are refused.
//
// Node only, and without a static node: import, so that a bundler for pages can pass it by.

import { FormatError } from "../core/errors.ts";

const fs = process.getBuiltinModule("node:fs");
const os = process.getBuiltinModule("node:os");
const path = process.getBuiltinModule("node:path");
const zlib = process.getBuiltinModule("node:zlib");

const listName = "unpacked.json"; // file name -> size in bytes
const othersMayWrite = 0o022;
const tarBlockBytes = 512;

/** A file to be written; `name` may contain `/`. */
export interface UnpackedFile {
  readonly name: string;
  readonly data: Uint8Array;
  /** Permission bits, e.g. 0o755. */
  readonly mode: number;
}

/** The user's folder for things that can be made again: `$XDG_CACHE_HOME/neurite`, or one in the temporary folder. */
function cacheFolder(): string {
  const home = process.env["XDG_CACHE_HOME"];
  if (home !== undefined && path.isAbsolute(home)) return path.join(home, "neurite");
  return path.join(os.tmpdir(), `neurite-${process.getuid?.() ?? os.userInfo().username}`);
}

/**
 * The path of folder `name` in `cache`, holding the files that `unpack` returns. `unpack` is called only when they are not
 * there yet in full, with the path they will have in the end. Throws Node's errors when nothing can be written.
 */
export async function unpackOnce(
  name: string,
  unpack: (folder: string) => Promise<readonly UnpackedFile[]>,
  cache = cacheFolder(),
): Promise<string> {
  await fs.promises.mkdir(cache, { recursive: true, mode: 0o700 });
  const parent = (await isPrivate(cache)) ? cache : await fs.promises.mkdtemp(path.join(os.tmpdir(), "neurite-"));
  const folder = path.join(parent, name);
  if (await isComplete(folder)) return folder;

  const own = await fs.promises.mkdtemp(path.join(parent, ".unpacking-"));
  try {
    const sizes: Record<string, number> = {};
    for (const file of await unpack(folder)) {
      const target = path.join(own, file.name);
      if (!target.startsWith(own + path.sep))
        throw new FormatError(`the archive has a file outside of it: ${file.name}`);
      await fs.promises.mkdir(path.dirname(target), { recursive: true });
      await fs.promises.writeFile(target, file.data, { mode: file.mode & ~othersMayWrite });
      sizes[file.name] = file.data.byteLength;
    }
    await fs.promises.writeFile(path.join(own, listName), JSON.stringify(sizes));
    await moveIntoPlace(own, folder);
  } finally {
    await fs.promises.rm(own, { recursive: true, force: true });
  }
  return folder;
}

async function moveIntoPlace(own: string, folder: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await fs.promises.rename(own, folder);
      return;
    } catch (error) {
      if (await isComplete(folder)) return; // another process was first
      const code = (error as NodeJS.ErrnoException).code;
      if (attempt === 3 || (code !== "ENOTEMPTY" && code !== "EEXIST")) throw error;
      const aside = await fs.promises.mkdtemp(path.join(path.dirname(folder), ".damaged-"));
      await fs.promises.rename(folder, path.join(aside, "folder")).catch(() => undefined); // or another process did
      await fs.promises.rm(aside, { recursive: true, force: true });
    }
  }
}

/** True if this user alone can write the folder. */
async function isPrivate(folder: string): Promise<boolean> {
  const stat = await fs.promises.lstat(folder);
  const uid = process.getuid?.();
  return stat.isDirectory() && (uid === undefined || (stat.uid === uid && (stat.mode & othersMayWrite) === 0));
}

async function isComplete(folder: string): Promise<boolean> {
  try {
    const list = await fs.promises.readFile(path.join(folder, listName), "utf8");
    for (const [name, sizeBytes] of Object.entries(JSON.parse(list) as Record<string, number>))
      if ((await fs.promises.stat(path.join(folder, name))).size !== sizeBytes) return false;
    return true;
  } catch {
    return false;
  }
}

/** The decompressed content of a Brotli file. */
export async function readBrotli(file: string): Promise<Buffer> {
  const packed = await fs.promises.readFile(file);
  return new Promise((resolve, reject) => {
    zlib.brotliDecompress(packed, (error, data) => {
      if (error === null) resolve(data);
      else reject(new FormatError(`${file} is not a whole Brotli file: ${error.message}`, { cause: error }));
    });
  });
}

/** The plain files of a (ustar) tar archive. Throws {@link FormatError} when it is cut off. */
export function readTar(archive: Buffer): UnpackedFile[] {
  const files: UnpackedFile[] = [];
  const text = (from: number, to: number): string => archive.toString("latin1", from, to).replace(/\0.*$/s, "");
  for (let at = 0; at + tarBlockBytes <= archive.length && archive[at] !== 0; ) {
    const prefix = text(at + 345, at + 500);
    const name = (prefix === "" ? "" : `${prefix}/`) + text(at, at + 100);
    const sizeBytes = parseInt(text(at + 124, at + 136).trim(), 8);
    const type = String.fromCharCode(archive[at + 156]!);
    const start = at + tarBlockBytes;
    if (!(start + sizeBytes <= archive.length)) throw new FormatError(`the tar archive is cut off in ${name}`);
    if (type === "0" || type === "\0")
      files.push({
        name,
        data: archive.subarray(start, start + sizeBytes),
        mode: parseInt(text(at + 100, at + 108).trim(), 8) & 0o777,
      });
    at = start + Math.ceil(sizeBytes / tarBlockBytes) * tarBlockBytes;
  }
  return files;
}
