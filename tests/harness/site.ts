// The demo site as a visitor gets it: Vite's server with the repository's own config, opened in a Chromium whose pages
// remember every complaint (console errors, uncaught errors, failed requests).

import path from "node:path";
import type { Browser, LaunchOptions, Page } from "puppeteer-core";
import { createServer, type PluginOption, type ViteDevServer } from "vite";
import { launchChromium } from "./chromium.ts";

const root = path.resolve(import.meta.dirname, "../..");

export interface Visit {
  /** CSS pixels. Default 1280 × 800. */
  readonly width?: number;
  readonly height?: number;
  readonly theme?: "light" | "dark";
  /** Runs in the page before anything else. */
  readonly before?: () => void;
}

export interface Site extends AsyncDisposable {
  readonly browser: Browser;
  /** Opens a path of the site, or an address. `complaints` is filled as they come. */
  open(address: string, visit?: Visit): Promise<{ readonly page: Page; readonly complaints: string[] }>;
}

/** Serves the demos (and what `plugins` add) on a free port and starts a browser. Dispose of it after use. */
export async function openSite(launch: LaunchOptions = {}, plugins: PluginOption[] = []): Promise<Site> {
  const server = await createServer({
    configFile: path.join(root, "vite.config.ts"),
    mode: "demos",
    logLevel: "error",
    plugins,
    server: { host: "localhost", port: 0, hmr: false, watch: null },
  });
  await server.listen();
  const origin = originOf(server);
  // Without a language, Chromium takes the system's, which on bare machines is one that Intl refuses.
  const browser = await launchChromium({ ...launch, args: ["--accept-lang=en-US", ...(launch.args ?? [])] });
  return {
    browser,
    async open(address, { width = 1280, height = 800, theme = "light", before } = {}) {
      const page = await browser.newPage();
      const complaints: string[] = [];
      page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(String(error)));
      page.on("requestfailed", (request) => {
        complaints.push(`${request.url()}: ${request.failure()?.errorText ?? "failed"}`);
      });
      page.on("request", (request) => {
        const { hostname, protocol } = new URL(request.url());
        if (hostname !== "localhost" && protocol !== "data:" && protocol !== "blob:")
          complaints.push(`asks another site: ${request.url()}`);
      });
      await page.setViewport({ width, height });
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
      if (before) await page.evaluateOnNewDocument(before);
      await page.goto(new URL(address, origin).href);
      return { page, complaints };
    },
    async [Symbol.asyncDispose]() {
      await browser.close();
      await server.close();
    },
  };
}

function originOf(server: ViteDevServer): string {
  const address = server.httpServer?.address();
  if (!address || typeof address === "string") throw new Error("the demo server has no port");
  return `http://localhost:${address.port}`;
}
