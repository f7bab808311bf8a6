// The Kernel Lab as a visitor meets it, in Chromium: all strategies race and are right, a kernel is opened and edited, a
// mistake is shown at its line, a wrong kernel is called wrong, an extent is swept, a race can be cancelled, and a link
// brings the same problem back. Pictures of it go to tests/browser/out/.

import type { Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { photograph } from "../harness/photograph.ts";
import { openSite, type Site } from "../harness/site.ts";

const PROBLEM = "kernels/?op=MatMul&M=32&N=48&K=64";

let site: Site;

beforeAll(async () => {
  site = await openSite();
});

afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

const ready = (page: Page): Promise<unknown> => page.waitForSelector('body[data-state="ready"]', { timeout: 60_000 });
const text = (page: Page, selector: string): Promise<string> =>
  page.$eval(selector, (element) => element.textContent.trim());

/** Waits until the task at hand is over. */
async function over(page: Page): Promise<void> {
  await page.waitForFunction(() => !document.querySelector<HTMLButtonElement>("#run")!.disabled, { timeout: 120_000 });
}

async function press(page: Page, selector: string): Promise<void> {
  await page.$eval(selector, (element) => {
    (element as HTMLElement).click();
  });
}

/** Replaces what the editor holds. */
async function write(page: Page, change: (wgsl: string) => string): Promise<void> {
  const wgsl = await page.$eval(".cm-content", (element) =>
    [...element.querySelectorAll(".cm-line")].map((line) => line.textContent).join("\n"),
  );
  await page.focus(".cm-content");
  await page.keyboard.down("Control");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  const session = await page.createCDPSession();
  await session.send("Input.insertText", { text: change(wgsl) });
}

test("strategies race; kernels are edited and judged; an extent is swept", { timeout: 240_000 }, async () => {
  const { page, complaints } = await site.open(PROBLEM);
  await ready(page);
  await page.$eval("#rounds", (element) => {
    (element as HTMLInputElement).value = "2";
  });
  await press(page, "#run");
  await page.waitForSelector("#variants li");
  await over(page);
  const rows = await page.$$eval("#variants li", (all) =>
    all.map((row) => ({
      name: row.querySelector(".name")!.textContent,
      wrong: row.classList.contains("wrong"),
      figure: row.querySelector(".figure")!.textContent,
    })),
  );
  expect(rows.map(({ name }) => name).join()).toMatch(/naive/);
  expect(rows.length).toBeGreaterThan(4);
  expect(rows.filter(({ wrong }) => wrong)).toEqual([]);
  for (const { figure } of rows) expect(figure).toMatch(/(ms|µs) .*GFLOP\/s.*of its bound/);
  expect(rows.filter(({ name }) => name.includes("Neurite’s choice"))).toHaveLength(1);
  expect(await page.$$eval(".roofline circle", (all) => all.length)).toBe(rows.length);

  await page.$$eval("#variants .name", (all) => {
    (all.find((one) => one.textContent.startsWith("naive")) as HTMLElement).click();
  });
  await page.waitForSelector(".cm-content");
  await over(page);
  expect(await text(page, "#source-name")).toMatch(/^naive/);

  await write(page, (wgsl) => wgsl.replace("fn main(", "fn main(oops "));
  await press(page, "#try");
  await page.waitForSelector("#outcome .complaints");
  await over(page);
  expect(await text(page, "#outcome")).toMatch(/Line \d+, column \d+/);

  await press(page, "#reset");
  await write(page, (wgsl) => wgsl.replace(/= epilogue\((\w+),/, "= 1.5 * epilogue($1,"));
  await press(page, "#try");
  await page.waitForFunction(() => document.querySelector("#outcome")!.textContent.includes("Wrong"), {
    timeout: 60_000,
  });
  await over(page);

  await press(page, "#reset");
  await press(page, "#try");
  await page.waitForFunction(() => document.querySelector("#outcome")!.textContent.includes("Right"), {
    timeout: 60_000,
  });
  await over(page);

  await page.$eval("#sweep-values", (element) => {
    (element as HTMLInputElement).value = "16, 32";
  });
  await press(page, "#sweep");
  await page.waitForSelector(".heat-map");
  await over(page);
  expect(await page.$$eval(".heat-map thead th", (all) => all.map((one) => one.textContent))).toEqual([
    "K =",
    "16",
    "32",
  ]);
  expect(await page.$$eval(".heat-map td.best", (all) => all.length)).toBeGreaterThanOrEqual(2);

  expect(new URL(page.url()).search).toBe("?op=MatMul&batch=1&M=32&N=48&K=64");
  expect(complaints).toEqual([]);
  await photograph(page, "kernels");
});

test("a race ends when it is cancelled, and the page goes on", { timeout: 120_000 }, async () => {
  const { page, complaints } = await site.open("kernels/?op=Softmax&rows=64&columns=100");
  await ready(page);
  await press(page, "#run");
  await page.waitForSelector("#variants li");
  await press(page, "#cancel");
  await over(page);
  expect(await text(page, "#told")).toMatch(/Cancelled/);
  await press(page, "#run");
  await over(page);
  expect(
    await page.$$eval("#variants .figure", (all) =>
      all.every((one) => one.textContent.includes("ms") || one.textContent.includes("µs")),
    ),
  ).toBe(true);
  expect(complaints).toEqual([]);
});
