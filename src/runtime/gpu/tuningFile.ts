// Tuning tables as files of Node's: one an adapter, under the user's cache folder.

import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { TuningData } from "../../scheduler/tuning.ts";
import type { TuningStore } from "./tuningStore.ts";

/** Files in `folder`; by default `neurite` in `$XDG_CACHE_HOME`, or in `~/.cache`. */
export function fileStore(
  folder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "neurite"),
): TuningStore {
  const pathOf = (adapter: string): string =>
    join(folder, `tuning-${(adapter.toLowerCase().match(/[a-z0-9]+/g) ?? []).join("-")}.json`);
  return {
    load: async (adapter) => {
      try {
        return JSON.parse(await readFile(pathOf(adapter), "utf8")) as TuningData;
      } catch {
        return undefined;
      }
    },
    save: async (adapter, data) => {
      const path = pathOf(adapter);
      try {
        await mkdir(folder, { recursive: true });
        await writeFile(`${path}.${process.pid}`, JSON.stringify(data));
        await rename(`${path}.${process.pid}`, path); // whole, or not at all
      } catch {
        // a machine without a place to write measures again
      }
    },
  };
}
