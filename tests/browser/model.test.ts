// The model page as a visitor meets it, in Chromium: files are chosen and dropped, looked at, planned, timed and verified in
// the worker while the page stays at ease, and what is wrong with a file is said. Pictures go to tests/browser/out/.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exportOnnx, relu } from "../../src/index.ts";
import { photograph } from "../harness/photograph.ts";
import { openSite, type Site } from "../harness/site.ts";

/** What keeps the page busy for longer is felt. */
const LONG_TASK_MS = 50;

let site: Site;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "neurite-model-"));
  site = await openSite();
});

afterAll(async () => {
  await site[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const text = (page: Page, selector: string): Promise<string> =>
  page.$eval(selector, (element) => element.textContent.replaceAll(/\s+/g, " ").trim());
const waitForText = (page: Page, selector: string, pattern: RegExp): Promise<unknown> =>
  page.waitForFunction(
    (where: string, wanted: string) => new RegExp(wanted).test(document.querySelector(where)!.textContent),
    { timeout: 60_000 },
    selector,
    pattern.source,
  );
const idle = (page: Page): Promise<unknown> => page.waitForSelector("body:not([data-busy])", { timeout: 60_000 });
const openPage = async (address = "/model/"): ReturnType<Site["open"]> => {
  const visit = await site.open(address);
  await visit.page.waitForSelector('body[data-state="ready"]', { timeout: 60_000 });
  return visit;
};

/** Writes a file and gives it to the page's file field. */
async function choose(page: Page, name: string, bytes: Uint8Array): Promise<void> {
  const file = path.join(folder, name);
  await writeFile(file, bytes);
  const field = (await page.$("#file")) as unknown as { uploadFile(path: string): Promise<void> };
  await field.uploadFile(file);
}

/** Drops bytes on the page as a file. */
const drop = (page: Page, name: string, bytes: readonly number[]): Promise<void> =>
  page.evaluate(
    (fileName, content) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([new Uint8Array(content)], fileName));
      for (const type of ["dragenter", "dragover", "drop"])
        document.body.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
    },
    name,
    bytes,
  );

test("a network is looked at, planned, timed and verified", async () => {
  const { page, complaints } = await openPage();
  await page.click('[data-sample="digits"]');
  await waitForText(page, "#plan-facts", /intermediates/);
  await idle(page);
  expect(await text(page, "#operators")).toMatch(/Conv\s?2.*Gemm|Gemm|MatMul/);
  expect(await text(page, "#ends")).toMatch(/in\s?image\s?float32\s?\[1, 1, 28, 28\].*scores/);
  expect(await text(page, "#figure-flops")).toMatch(/k|M/);

  await page.type("#find", "conv");
  await waitForText(page, "#node", /Weights/);
  expect(await text(page, "#found")).toBe("1 of 2");
  expect(await text(page, "#node")).toMatch(
    /Conv.*float32 \[1, 8, 28, 28\].*strides.*#\d+ Conv.*\[8, 1, 5, 5\].*Elements\s?200/,
  );
  await page.focus("#graph");
  await page.keyboard.press("ArrowDown");
  await waitForText(page, "#node h3", /Relu/);

  await page.click("#profile-run");
  await waitForText(page, "#profile-verdict", /steps|No times/);
  await idle(page);
  expect(await text(page, "#profile-verdict")).toMatch(/in \d+ steps.*Median of 5 runs/);
  const shares = await page.$$eval("#times .share", (cells) => cells.map((cell) => parseFloat(cell.textContent)));
  expect(shares).toEqual(shares.toSorted((a, b) => b - a));
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(100, 0);

  await page.click("#verify-run");
  await waitForText(page, "#verify-verdict", /step/);
  await idle(page);
  expect(await text(page, "#verify-verdict")).toMatch(/^All \d+ steps are right/);
  await page.waitForFunction((steps) => document.querySelectorAll("#checks tr").length === steps, {}, shares.length);
  await photograph(page, "model-digits");
  expect(complaints).toEqual([]);
  await page.close();
});

test("a model of hundreds of nodes does not hold up the page, and work on it can be cancelled", async () => {
  const { page, complaints } = await openPage();
  await page.evaluate((longest) => {
    const tasks: number[] = [];
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) if (duration > longest) tasks.push(duration);
    }).observe({ type: "longtask" });
    Object.assign(window, { longTasks: tasks });
  }, LONG_TASK_MS);
  // On a busy machine any page is interrupted now and then: one load of three has to be undisturbed.
  const loads: number[][] = [];
  while (loads.length < 3 && loads.at(-1)?.length !== 0) {
    await page.evaluate(() => document.querySelector("#plan-facts")!.replaceChildren());
    await page.click('[data-sample="direction"]');
    await waitForText(page, "#plan-facts", /intermediates/);
    await idle(page);
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 200)));
    loads.push(await page.evaluate(() => (window as unknown as { longTasks: number[] }).longTasks.splice(0)));
  }
  expect(loads.at(-1), `tasks of more than ${LONG_TASK_MS} ms while loading: ${JSON.stringify(loads)}`).toEqual([]);

  expect(await text(page, "#operators li:first-child")).toMatch(/Constant\s?250/);
  expect(await page.$$eval("#extents input", (fields) => fields.map(({ value }) => value))).toEqual(["1", "48", "192"]);

  await page.click("#profile-run");
  await waitForText(page, "#profile-verdict", /in \d+ steps/);
  await idle(page);
  expect(await page.$$eval("#times li", (rows) => rows.length)).toBe(12);
  await page.focus("#graph");
  for (const _ of "xxxxxxxx") await page.keyboard.press("ArrowDown");
  await waitForText(page, "#node", /Conv.*Weights/);
  await photograph(page, "model-direction");

  await page.click("#verify-run");
  await waitForText(page, "#verify-told", /Step/);
  await page.click("#verify-cancel");
  await idle(page);
  expect(await text(page, "#verify-told")).toBe("Cancelled.");
  expect(await page.$eval("#verify-run", (run) => (run as HTMLButtonElement).disabled)).toBe(false);

  // Another extent is another plan.
  const memory = await text(page, "#plan-facts");
  await page.$eval("#extents .field:first-child input", (field) => {
    field.value = "2";
  });
  await page.click("#plan-run");
  await page.waitForFunction(
    (old) => document.querySelector("#plan-facts")!.textContent !== old,
    { timeout: 60_000 },
    memory,
  );
  await idle(page);
  expect(complaints).toEqual([]);
  await page.close();
});

test("what is wrong with a file is said", async () => {
  const { page, complaints } = await openPage();
  await drop(page, "broken.onnx", [8, 9, 58, 200, 1, 10, 5]);
  await page.waitForSelector("#load-told.failed");
  expect(await text(page, "#load-told")).toMatch(/^broken\.onnx: ONNX: a field declares 200 bytes/);
  await photograph(page, "model-damaged");

  // The same network with an operator that nobody has.
  const whole = exportOnnx((x) => relu(x), { x: [2, 3] });
  const strange = Uint8Array.from(
    Buffer.from(Buffer.from(whole).toString("latin1").replaceAll("Relu", "Rela"), "latin1"),
  );
  await choose(page, "strange.onnx", strange);
  await page.waitForSelector("#missing:not([hidden])");
  expect(await text(page, "#missing")).toMatch(/not run.*Rela \(1×\)/);
  expect(await page.$eval("#verify-run", (run) => (run as HTMLButtonElement).disabled)).toBe(true);

  await choose(page, "whole.onnx", whole);
  await waitForText(page, "#plan-facts", /intermediates/);
  expect(await text(page, "#model-name")).toBe("whole.onnx");
  expect(await page.$eval("#missing", (box) => (box as HTMLElement).hidden)).toBe(true);
  expect(complaints).toEqual([]);
  await page.close();
});

test("a worker that does not listen is replaced", async () => {
  const deafen = (): void => {
    window.Worker = class extends Worker {
      override postMessage(message: { readonly type: string }): void {
        if (message.type !== "profile" && message.type !== "cancel") super.postMessage(message);
      }
    };
  };
  const { page, complaints } = await site.open("/model/?sample=digits", { before: deafen });
  await waitForText(page, "#plan-facts", /intermediates/);
  await idle(page);
  await page.click("#profile-run");
  expect(await text(page, "#profile-told")).toBe("Waiting…");
  await page.evaluate(() => document.querySelector("#plan-facts")!.replaceChildren());
  await page.click("#profile-cancel");
  await waitForText(page, "#plan-facts", /intermediates/); // loaded and planned again
  await idle(page);
  expect(await page.$eval("#profile-run", (run) => (run as HTMLButtonElement).disabled)).toBe(false);
  expect(complaints).toEqual([]);
  await page.close();
});

test("without WebGPU a model can be looked at, and run on the CPU", async () => {
  await using bare = await openSite({ args: ["--disable-gpu", "--disable-software-rasterizer"] });
  const { page, complaints } = await bare.open("/model/");
  await page.waitForSelector('body[data-state="unavailable"]');
  await page.click('[data-sample="digits"]');
  await waitForText(page, "#operators", /Conv/);
  await photograph(page, "model-unavailable");
  expect(await page.$eval("#verify-run", (run) => (run as HTMLButtonElement).disabled)).toBe(true);
  await page.click("#notice-cpu");
  await waitForText(page, "#plan-facts", /intermediates/);
  await idle(page);
  await page.click("#verify-run");
  await waitForText(page, "#verify-verdict", /All \d+ steps are right.*CPU reference/);
  expect(complaints).toEqual([]);
  await page.close();
});
