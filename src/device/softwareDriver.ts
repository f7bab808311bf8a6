// A Vulkan driver for machines without one. The npm package @sparticuz/chromium (Linux x64) carries SwiftShader and the
// Vulkan loader in bin/swiftshader.tar.br. Both are unpacked once; loading the loader by its path is enough for Dawn, which
// asks for it by the name of a library that is then already in the process, and VK_DRIVER_FILES tells the loader which
// driver to take. No LD_LIBRARY_PATH, which would have to be set before the process starts.
//
// Node only, and without a static node: import, so that a bundler for pages can pass it by.

import { DeviceUnavailableError, FormatError, messageOf } from "../core/errors.ts";
import { readBrotli, readTar, unpackOnce } from "./unpack.ts";

const fs = process.getBuiltinModule("node:fs");
const os = process.getBuiltinModule("node:os");
const path = process.getBuiltinModule("node:path");
const { createRequire } = process.getBuiltinModule("node:module");

const packageName = "@sparticuz/chromium";
const loaderName = "libvulkan.so.1";
const driverName = "libvk_swiftshader.so";
const manifestName = "swiftshader.json";
const keepLoaded = 0x1000; // RTLD_NODELETE, which os.constants.dlopen lacks

/** Where the package's compressed binaries lie, and its version. */
export interface ChromiumPackage {
  readonly bin: string;
  readonly version: string;
}

/** True where the packaged driver can run. */
export function softwareDriverFits(): boolean {
  return process.platform === "linux" && process.arch === "x64";
}

/** Finds the installed package, beside Neurite or in the working directory's project. Throws {@link DeviceUnavailableError}. */
export function findChromiumPackage(
  from: readonly string[] = [import.meta.url, path.join(process.cwd(), "x.js")],
): ChromiumPackage {
  for (const base of from) {
    try {
      const entry = createRequire(base).resolve(packageName); // <package>/build/cjs/index.cjs
      const root = path.resolve(path.dirname(entry), "..", "..");
      const { version } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8")) as { version: string };
      return { bin: path.join(root, "bin"), version };
    } catch {
      continue;
    }
  }
  throw new DeviceUnavailableError(`the npm package ${packageName}, which carries a software driver, is not installed`);
}

/** Unpacks the driver, once per user and package version. Returns its folder. */
export async function unpackSoftwareDriver(
  source: ChromiumPackage = findChromiumPackage(),
  cache?: string,
): Promise<string> {
  return unpackOnce(
    `swiftshader-${source.version}`,
    async (folder) => {
      const wanted = [loaderName, driverName];
      const archive = readTar(await readBrotli(path.join(source.bin, "swiftshader.tar.br")));
      const files = archive.filter((file) => wanted.includes(file.name));
      if (files.length !== wanted.length)
        throw new FormatError(
          `${packageName} ${source.version} has no ${wanted.join(" and ")} in its swiftshader.tar.br`,
        );
      const manifest = {
        file_format_version: "1.0.0",
        ICD: { library_path: path.join(folder, driverName), api_version: "1.0.5" },
      };
      return [...files, { name: manifestName, data: new TextEncoder().encode(JSON.stringify(manifest)), mode: 0o644 }];
    },
    cache,
  );
}

/**
 * Runs `work` (which makes a Vulkan instance) with the packaged driver as the only one. Other instances of this process,
 * before and after, keep theirs. Throws {@link DeviceUnavailableError} if the package is missing or cannot be unpacked.
 */
export async function withSoftwareDriver<T>(work: () => Promise<T>): Promise<T> {
  let folder: string;
  try {
    folder = await unpackSoftwareDriver();
  } catch (cause) {
    if (cause instanceof DeviceUnavailableError) throw cause;
    throw new DeviceUnavailableError(
      `the software driver cannot be unpacked: ${messageOf(cause)}; is XDG_CACHE_HOME writable?`,
      {
        cause,
      },
    );
  }
  if (!loadLibrary(loaderName)) loadLibrary(path.join(folder, loaderName));
  const before = process.env["VK_DRIVER_FILES"];
  process.env["VK_DRIVER_FILES"] = path.join(folder, manifestName);
  try {
    return await work();
  } finally {
    if (before === undefined) delete process.env["VK_DRIVER_FILES"];
    else process.env["VK_DRIVER_FILES"] = before;
  }
}

/** True if a Vulkan loader is installed (or loaded already). Asking here spares Dawn's warning on standard error. */
export function hasVulkanLoader(): boolean {
  return process.platform !== "linux" || loadLibrary(loaderName);
}

/** Loads a shared library for good. It is no Node add-on, and Node says so, but by then it has been loaded. */
function loadLibrary(nameOrPath: string): boolean {
  try {
    process.dlopen({ exports: {} }, nameOrPath, os.constants.dlopen.RTLD_NOW | keepLoaded);
    return true;
  } catch (error) {
    return messageOf(error).includes("did not self-register");
  }
}
