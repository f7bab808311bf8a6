// Runs TypeScript sources in Node as they stand: `node --import ./config/run-typescript.mjs file.ts`. Real ES modules with
// real paths, compiled one by one with the compiler Vite uses; no bundle, no output folder, nothing printed.

import { readFile } from "node:fs/promises";
import { register } from "node:module";
import { fileURLToPath } from "node:url";

const HOOKS = "?hooks"; // the copy of this module that Node runs on its loader thread
const API = new URL("../src/index.ts", import.meta.url).href;

if (!import.meta.url.endsWith(HOOKS)) {
  process.setSourceMapsEnabled(true);
  register(import.meta.url + HOOKS);
}

/** @type {import("node:module").ResolveHook} */
export async function resolve(specifier, context, next) {
  return specifier === "neurite" ? { url: API, shortCircuit: true } : next(specifier, context);
}

/** @type {import("node:module").LoadHook} */
export async function load(url, context, next) {
  if (url.startsWith("file:") && url.endsWith("?raw")) {
    const text = await readFile(fileURLToPath(url), "utf8"); // a file as a string, as in Vite
    return { format: "module", source: `export default ${JSON.stringify(text)}`, shortCircuit: true };
  }
  if (!url.startsWith("file:") || !/\.ts(\?|$)/.test(url)) return next(url, context);
  const { transformWithOxc } = await import("vite");
  const path = fileURLToPath(url);
  const { code, map } = await transformWithOxc(await readFile(path, "utf8"), path, {
    target: "node20.19",
    sourcemap: true,
  });
  const inlineMap = Buffer.from(JSON.stringify(map)).toString("base64");
  const source = `${code}\n//# sourceMappingURL=data:application/json;base64,${inlineMap}`;
  return { format: "module", source, shortCircuit: true };
}
