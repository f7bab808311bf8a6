// Pictures of a page for people to look at: narrow and wide, light and dark, into tests/browser/out/. Nothing may stick out
// sideways.

import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { Page } from "puppeteer-core";
import { expect } from "vitest";

const out = path.resolve(import.meta.dirname, "../browser/out");
const SIZES = [
  [390, 844],
  [1280, 800],
] as const;
/** Until transitions are over. */
const SETTLE_MS = 250;

/** `<name>-<width>-<theme>.png`, whole pages. */
export async function photograph(page: Page, name: string): Promise<void> {
  await mkdir(out, { recursive: true });
  for (const [width, height] of SIZES) {
    await page.setViewport({ width, height });
    for (const theme of ["dark", "light"]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      await page.screenshot({ path: path.join(out, `${name}-${width}-${theme}.png`), fullPage: true });
    }
    const overhang = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overhang, `${name} at ${width} px`).toBeLessThanOrEqual(0);
  }
}
