// The reading page as a visitor meets it, in Chromium: it finds and reads the sample's lines in its worker, takes pictures
// that are chosen or dropped, can be cancelled, and says so when a file is no picture. Pictures of it go to
// tests/browser/out/.

import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { ElementHandle, Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { photograph } from "../harness/photograph.ts";
import { openSite, type Site } from "../harness/site.ts";

const out = path.join(import.meta.dirname, "out");

let site: Site;

beforeAll(async () => {
  await mkdir(out, { recursive: true });
  site = await openSite();
});

afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

const waitForState = (page: Page, state: string, timeout = 150_000): Promise<unknown> =>
  page.waitForSelector(`body[data-state="${state}"]`, { timeout });
const text = (page: Page, selector: string): Promise<string> =>
  page.$eval(selector, (element) => element.textContent.trim());

/** What has been read, line by line. */
const words = (page: Page): Promise<string[]> =>
  page.$$eval("#lines .words", (all) => all.map((element) => element.textContent));

/** Drops a picture on the page, with a line of text that stands on its head. Runs in the page. */
async function dropPicture(line: string): Promise<void> {
  const canvas = document.createElement("canvas");
  canvas.width = 256;
  canvas.height = 96;
  const context = canvas.getContext("2d")!;
  context.fillStyle = "#fff";
  context.fillRect(0, 0, 256, 96);
  context.rotate(Math.PI);
  context.fillStyle = "#222";
  context.font = '32px "Open Sans", sans-serif';
  context.fillText(line, -224, -36);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([blob!], "line.png", { type: "image/png" }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}

test("the sample's lines are found and read", async () => {
  const { page, complaints } = await site.open("/reading/");
  await waitForState(page, "ready");
  await photograph(page, "reading-ready");
  await page.click("#read");
  await waitForState(page, "working");
  await page.waitForSelector("#lines li", { timeout: 150_000 });
  await photograph(page, "reading-working");
  await waitForState(page, "done");

  expect(await words(page)).toEqual(
    expect.arrayContaining([
      "Flour and Salt",
      "Fresh bread every day",
      expect.stringMatching(/^Mon-Fri ?7:30-18:00$/),
      expect.stringMatching(/^Tel\. ?555 ?0142$/),
      "Try our pies",
    ]),
  );
  expect(await text(page, "#result-note")).toMatch(/^5 lines, \d/);
  await photograph(page, "reading-done");
  for (const layer of ["boxes", "heat"]) {
    await page.click(`#views label:has([value="${layer}"])`);
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 250)));
    await (await page.$("#view"))!.screenshot({ path: path.join(out, `reading-${layer}.png`) });
  }

  // A picture that is dropped is read at once; this one stands on its head.
  await page.click("#any-way-up");
  await page.evaluate(dropPicture, "Upside down");
  await waitForState(page, "working");
  await waitForState(page, "done");
  expect(await words(page)).toEqual(["Upside down"]);

  // Again, with everything in place: nothing is prepared, and the same is read.
  await page.click("#read");
  await waitForState(page, "working");
  await waitForState(page, "done");
  expect(await words(page)).toEqual(["Upside down"]);
  expect(await text(page, '[data-stage="load"] .stage-what')).toBe("all there");
  expect(await text(page, '[data-stage="prepare"] .stage-what')).toBe("all there");
  expect(complaints).toEqual([]);
  await page.close();
});

test("a file that is no picture is refused, a picture is read at once, and reading can be cancelled", async () => {
  const { page, complaints } = await site.open("/reading/");
  await waitForState(page, "ready");
  const input = (await page.$("#file")) as ElementHandle<HTMLInputElement>;
  const file = path.join(out, "no-picture.png");
  await writeFile(file, "this is text");
  await input.uploadFile(file);
  await page.waitForSelector("#notice:not([hidden])");
  expect(await text(page, "#notice-title")).toMatch(/no picture/);
  await page.click("#notice-retry");

  await page.evaluate(dropPicture, "Given up");
  await waitForState(page, "working");
  await page.click("#cancel");
  await page.waitForSelector('body:is([data-state="done"], [data-state="ready"])');
  expect(await text(page, "#result-note")).toBe("Cancelled.");
  // What was being fetched is given up.
  expect(complaints.filter((complaint) => !complaint.endsWith(".onnx: net::ERR_ABORTED"))).toEqual([]);
  await page.close();
});

test("without WebGPU the page says so and offers the CPU", async () => {
  await using bare = await openSite({ args: ["--disable-gpu", "--disable-software-rasterizer"] });
  const { page, complaints } = await bare.open("/reading/");
  await waitForState(page, "unavailable");
  expect(await text(page, "#notice-title")).toMatch(/WebGPU/);
  await photograph(page, "reading-unavailable");
  await page.click("#notice-cpu");
  await waitForState(page, "ready");
  expect(await text(page, "#adapter-name")).toMatch(/CPU reference/);
  expect(complaints).toEqual([]);
  await page.close();
});
