// The digits page as a visitor meets it, in Chromium: it trains in its worker while the page stays at ease, reads what is
// drawn by mouse and by keyboard, and says what to do where WebGPU is missing. Pictures of it go to tests/browser/out/.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Page } from "puppeteer-core";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serve } from "../harness/serve.ts";
import { photograph } from "../harness/photograph.ts";
import { openSite, type Site } from "../harness/site.ts";

/** Longest time without a frame, in ms, that still feels alive. */
const MAX_GAP_MS = 200;

let site: Site;

beforeAll(async () => {
  site = await openSite();
});

afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

const waitForState = (page: Page, state: string): Promise<unknown> =>
  page.waitForSelector(`body[data-state="${state}"]`, { timeout: 90_000 });
const text = (page: Page, selector: string): Promise<string> =>
  page.$eval(selector, (element) => element.textContent.trim());

/** Draws a stroke through points given as shares of the pad. */
async function draw(page: Page, points: readonly (readonly [number, number])[]): Promise<void> {
  const { x, y, width, height } = (await (await page.$("#pad"))!.boundingBox())!;
  const at = ([left, top]: readonly [number, number]): [number, number] => [x + left * width, y + top * height];
  await page.mouse.move(...at(points[0]!));
  await page.mouse.down();
  for (const point of points.slice(1)) await page.mouse.move(...at(point), { steps: 8 });
  await page.mouse.up();
}

/** Probabilities on the page, as shares of 1. */
async function probabilities(page: Page): Promise<number[]> {
  await page.waitForFunction(() => document.querySelector(".bars .best") !== null);
  const percents = await page.$$eval(".bars [role=meter]", (bars) =>
    bars.map((bar) => Number(bar.getAttribute("aria-valuenow"))),
  );
  return percents.map((percent) => percent / 100);
}

/** A number that changes when what is painted on the canvases does. */
const paintSum = (page: Page, selector: string): Promise<number> =>
  page.$$eval(selector, (canvases) =>
    canvases.reduce((sum, canvas) => {
      const { width, height } = canvas as HTMLCanvasElement;
      const { data } = (canvas as HTMLCanvasElement).getContext("2d")!.getImageData(0, 0, width, height);
      return data.reduce((total, value, i) => total + value * ((i % 251) + 1), sum);
    }, 0),
  );

test("the landing page leads to the demo", async () => {
  const { page, complaints } = await site.open("/");
  await page.waitForSelector("#gpu-status.found");
  await photograph(page, "landing");
  await Promise.all([page.waitForNavigation(), page.click(".card-link")]);
  expect(new URL(page.url()).pathname).toBe("/digits/");
  expect(complaints).toEqual([]);
  await page.close();
});

test("the network learns in the page, which stays at ease", async () => {
  const { page, complaints } = await site.open("/digits/?epochs=1&limit=512&batch=16&lr=0.004");
  await waitForState(page, "ready");
  expect(await text(page, "#adapter-name")).toMatch(process.env["CHROMIUM_GPU"] === "1" ? /./ : /software/i);

  await draw(page, [
    [0.52, 0.2],
    [0.5, 0.8],
  ]);
  const before = await probabilities(page);
  expect(before.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 1);
  const filtersBefore = await paintSum(page, "#filter-list canvas:first-child");
  expect(filtersBefore).toBeGreaterThan(0);

  await page.evaluate(() => {
    const beat = { last: performance.now(), longest: 0 };
    const tick = (now: number): void => {
      beat.longest = Math.max(beat.longest, now - beat.last);
      beat.last = now;
      requestAnimationFrame(tick);
    };
    requestAnimationFrame((now) => {
      beat.last = now;
      requestAnimationFrame(tick);
    });
    Object.assign(window, { beat });
  });
  await page.click("#start");
  await waitForState(page, "training");
  await page.waitForFunction(() => document.querySelector("#loss")!.textContent !== "–", { timeout: 90_000 });
  const firstLoss = Number(await text(page, "#loss"));

  await page.click("#pause");
  await waitForState(page, "paused");
  const stepAtPause = await page.$eval("#progress", (bar) => (bar as HTMLProgressElement).value);
  expect(stepAtPause).toBeLessThan(1);
  expect(await text(page, "#pause")).toBe("Resume");
  await page.click("#pause");
  await waitForState(page, "done");

  const longest = await page.evaluate(() => (window as unknown as { beat: { longest: number } }).beat.longest);
  expect(longest).toBeLessThan(MAX_GAP_MS);
  expect(Number(await text(page, "#loss"))).toBeLessThan(firstLoss);
  expect(parseFloat(await text(page, "#test-accuracy"))).toBeGreaterThan(50); // 10 is chance
  expect(await paintSum(page, "#filter-list canvas:first-child")).not.toBe(filtersBefore);
  expect(await page.$eval("#loss-chart", (chart) => chart.getAttribute("aria-label"))).toMatch(/in 32 steps/);
  expect(await text(page, "#start")).toBe("Train more");

  // What is on the pad is read anew as the network changes.
  await page.waitForFunction(
    (old) =>
      [...document.querySelectorAll(".bars [role=meter]")].some(
        (bar, digit) => Math.abs(Number(bar.getAttribute("aria-valuenow")) / 100 - old[digit]!) > 0.02,
      ),
    {},
    before,
  );
  await photograph(page, "digits-trained");

  await page.click("#reset");
  await waitForState(page, "ready");
  expect(await text(page, "#loss")).toBe("–");
  expect(await paintSum(page, "#filter-list canvas:first-child")).toBe(filtersBefore);
  expect(complaints).toEqual([]);
  await page.close();
});

test("digits are drawn with the keyboard, loaded from samples and cleared", async () => {
  const { page, complaints } = await site.open("/digits/?limit=64");
  await waitForState(page, "ready");
  await page.focus("#pad");
  await page.keyboard.press("Space");
  for (let i = 0; i < 12; i++) await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Space");
  expect(await text(page, "#reading")).toBe("Pen up");
  await probabilities(page);
  await page.waitForFunction(() => document.querySelector("#reading")!.textContent.startsWith("It reads"));
  // A vertical stroke, centred by its mass: the ink lies around column 14, and in rows 4 to 23.
  const ink = await page.$eval("#seen", (canvas) => {
    const { data } = (canvas as HTMLCanvasElement).getContext("2d")!.getImageData(0, 0, 28, 28);
    return Array.from({ length: 28 * 28 }, (_, i) => i).filter((i) => data[4 * i + 3]! > 128);
  });
  expect(new Set(ink.map((i) => Math.floor(i / 28))).size).toBeGreaterThanOrEqual(18);
  expect(Math.min(...ink.map((i) => i % 28))).toBeGreaterThanOrEqual(11);
  expect(Math.max(...ink.map((i) => i % 28))).toBeLessThanOrEqual(16);

  await page.keyboard.press("Delete");
  await page.waitForFunction(() => document.querySelector("#guess")!.textContent === "?");
  await page.click("#sample-list li:nth-child(4) button");
  await probabilities(page);
  await page.click("#clear");
  await page.waitForFunction(() => document.querySelector("#certainty")!.textContent === "Nothing drawn yet");
  await photograph(page, "digits-ready");
  expect(complaints).toEqual([]);
  await page.close();
});

test("training can be stopped", async () => {
  const { page, complaints } = await site.open("/digits/?epochs=50&limit=256&batch=16");
  await waitForState(page, "ready");
  await page.click("#start");
  await waitForState(page, "training");
  await page.waitForFunction(() => document.querySelector("#loss")!.textContent !== "–", { timeout: 90_000 });
  await page.click("#stop");
  await waitForState(page, "done");
  expect(await text(page, "#progress-text")).toMatch(/^Training was stopped: \d/);
  expect(complaints).toEqual([]);
  await page.close();
});

test("a broken worker is told, and another one can be had", async () => {
  const breakFirstWorker = (): void => {
    let isFirst = true;
    window.Worker = class extends Worker {
      constructor(url: string | URL, options?: WorkerOptions) {
        super(url, options);
        if (!isFirst) return;
        isFirst = false;
        setTimeout(
          () => this.dispatchEvent(new ErrorEvent("error", { message: "The device was lost.", cancelable: true })),
          50,
        );
      }
    };
  };
  const { page, complaints } = await site.open("/digits/?limit=64", { before: breakFirstWorker });
  await waitForState(page, "error");
  expect(await text(page, "#notice-text")).toMatch(/^The device was lost\./);
  await photograph(page, "digits-error");
  await page.click("#notice-retry");
  await waitForState(page, "ready");
  expect(await page.$eval("#notice", (notice) => (notice as HTMLElement).hidden)).toBe(true);
  expect(complaints).toEqual([]);
  await page.close();
});

test("the built site works as the served one", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "neurite-site-"));
  try {
    const configFile = path.resolve(import.meta.dirname, "../../vite.config.ts");
    await build({ configFile, mode: "demos", logLevel: "error", build: { outDir: folder, sourcemap: false } });
    await using server = await serve({ root: folder });
    const { page, complaints } = await site.open(`${server.origin}/digits/?limit=32&batch=16&epochs=1`);
    await waitForState(page, "ready");
    await page.click("#start");
    await waitForState(page, "done");
    expect(complaints).toEqual([]);
    await page.close();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("without WebGPU the page says so and runs on the CPU", async () => {
  await using bare = await openSite({ args: ["--disable-gpu", "--disable-software-rasterizer"] });
  const { page, complaints } = await bare.open("/digits/?epochs=1&limit=32&batch=16");
  await waitForState(page, "unavailable");
  expect(await text(page, "#notice-title")).toMatch(/WebGPU/);
  expect(await text(page, "#notice-help")).toMatch(/Firefox/);
  await photograph(page, "digits-unavailable");
  await page.click("#notice-cpu");
  await waitForState(page, "ready");
  expect(await text(page, "#adapter-name")).toMatch(/CPU reference/);
  await page.click("#start");
  await waitForState(page, "done");
  expect(await text(page, "#test-accuracy")).toMatch(/%$/);
  expect(complaints).toEqual([]);
  await page.close();
});
