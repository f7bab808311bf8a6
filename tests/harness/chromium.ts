// A Chromium with WebGPU for Puppeteer, on any machine: the one named by CHROMIUM_PATH, else an installed Chrome, else the
// one in the npm package @sparticuz/chromium, unpacked once per user. WebGPU runs on SwiftShader, in pages and workers,
// so that results do not depend on the machine; CHROMIUM_GPU=1 takes the machine's GPU.
//
// WebGPU wants a secure context: open pages from http://localhost (see serve.ts), never from about:blank or file:.

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import puppeteer, { type Browser, type LaunchOptions } from "puppeteer-core";
import { findChromiumPackage } from "../../src/device/softwareDriver.ts";
import { readBrotli, readTar, unpackOnce } from "../../src/device/unpack.ts";

const installedPaths = [
  "/usr/bin/google-chrome-stable",
  "/usr/bin/google-chrome",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];

const webGpuFlags =
  process.env["CHROMIUM_GPU"] === "1"
    ? ["--enable-unsafe-webgpu", "--enable-features=Vulkan", "--ignore-gpu-blocklist"]
    : ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-unsafe-swiftshader"];

const flags = [
  ...webGpuFlags,
  "--no-sandbox", // containers run as root
  "--disable-dev-shm-usage", // and have a small /dev/shm
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-domain-reliability",
  "--disable-sync",
  "--disable-default-apps",
  "--no-default-browser-check",
  "--no-first-run",
  "--no-pings",
  "--metrics-recording-only",
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
  "--mute-audio",
];

interface Executable {
  readonly path: string;
  readonly env: NodeJS.ProcessEnv;
}

/** The Chromium to test with. Unpacks the packaged one where there is no other (3 s and 200 MB, once). */
async function findChromium(): Promise<Executable> {
  const named = process.env["CHROMIUM_PATH"];
  if (named !== undefined && !existsSync(named))
    throw new Error(`CHROMIUM_PATH is ${named}, and there is no such file`);
  const installed = named ?? installedPaths.find((candidate) => existsSync(candidate));
  if (installed !== undefined) return { path: installed, env: process.env };
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Error(
      "no Chrome found: install one, or name one in CHROMIUM_PATH (the packaged one is for Linux on x64)",
    );

  const { bin, version } = findChromiumPackage();
  const folder = await unpackOnce(`chromium-${version}`, async (target) => [
    { name: "chromium", data: await readBrotli(path.join(bin, "chromium.br")), mode: 0o755 },
    ...readTar(await readBrotli(path.join(bin, "swiftshader.tar.br"))), // Chromium looks for these beside itself
    ...readTar(await readBrotli(path.join(bin, "al2023.tar.br"))), // NSS, in lib/, which bare machines lack
    ...readTar(await readBrotli(path.join(bin, "fonts.tar.br"))), // fonts.conf, whose paths are replaced, and fonts/
    {
      name: "fontconfig/fonts.conf",
      data: new TextEncoder().encode(fontConfig(path.join(target, "fonts"))),
      mode: 0o644,
    },
  ]);
  const libraries = [path.join(folder, "lib"), process.env["LD_LIBRARY_PATH"]].filter(Boolean).join(":");
  const fonts = path.join(folder, "fontconfig");
  return {
    path: path.join(folder, "chromium"),
    env: { ...process.env, LD_LIBRARY_PATH: libraries, FONTCONFIG_PATH: process.env["FONTCONFIG_PATH"] ?? fonts },
  };
}

/** A fontconfig file that knows the packaged font (Open Sans) and whatever the system has. */
function fontConfig(folder: string): string {
  return `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${folder}</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
`;
}

/**
 * Starts a headless Chromium with a profile of its own, which goes when the browser closes. Close it after use.
 * Throws an `Error` when there is no Chrome to be found.
 */
export async function launchChromium(options: LaunchOptions = {}): Promise<Browser> {
  const { path: executablePath, env } = await findChromium();
  const userDataDir = await mkdtemp(path.join(tmpdir(), "neurite-chromium-"));
  const removeProfile = (): Promise<void> =>
    rm(userDataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  try {
    const browser = await puppeteer.launch({
      executablePath,
      env,
      userDataDir,
      headless: "shell",
      ...options,
      args: [...flags, ...(options.args ?? [])],
    });
    // Both ways out: close() awaits the removal, and a crash starts it.
    const close = browser.close.bind(browser);
    browser.close = async () => {
      await close();
      await removeProfile();
    };
    browser.once("disconnected", () => void removeProfile().catch(() => undefined));
    return browser;
  } catch (error) {
    await removeProfile();
    throw error;
  }
}
