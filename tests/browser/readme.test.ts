// The README's example, word for word: in Node through the project's own runner, and in Chromium through Vite.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSite, type Site } from "../harness/site.ts";

const root = path.resolve(import.meta.dirname, "../..");
const MOST_LINES = 20;
const LEAST_ACCURACY = 0.95;

/** The first TypeScript block of the README. */
async function example(): Promise<string> {
  const readme = await readFile(path.join(root, "README.md"), "utf8");
  const block = /^```ts\n(?<code>.*?)^```$/ms.exec(readme);
  if (!block) throw new Error("README.md has no TypeScript example");
  return block.groups!.code!;
}

/** A module that does not exist on disk. */
const EXAMPLE_MODULE = "/readme-example.ts";

describe("the README's example", () => {
  let code: string;
  let site: Site;
  beforeAll(async () => {
    code = await example();
    site = await openSite({}, [
      {
        name: "readme-example",
        resolveId: (id) => (id === EXAMPLE_MODULE ? id : undefined),
        load: (id) => (id === EXAMPLE_MODULE ? code : undefined),
      },
    ]);
  });
  afterAll(() => site[Symbol.asyncDispose]());

  it(`has at most ${MOST_LINES} lines`, () => {
    expect(code.trim().split("\n").length).toBeLessThanOrEqual(MOST_LINES);
  });

  it("learns in Node, and lets it exit", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "neurite-readme-"));
    try {
      const file = path.join(folder, "example.ts");
      await writeFile(file, code);
      const { stdout } = await promisify(execFile)("node", ["--import", "./config/run-typescript.mjs", file], {
        cwd: root,
      });
      expect(stdout.match(/^epoch \d+: loss \d\.\d+$/gm)).toHaveLength(8);
      const percent = Number(/^(?<percent>[\d.]+) % of 2000 points are right, on .+$/m.exec(stdout)?.groups?.percent);
      expect(percent).toBeGreaterThan(100 * LEAST_ACCURACY);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("learns in Chromium", async () => {
    const { page, complaints } = await site.open("/");
    // As text: the test's own transform would rewrite an import in a function.
    const accuracy = await page.evaluate(`import("${EXAMPLE_MODULE}").then((module) => module.accuracy)`);
    expect(accuracy).toBeGreaterThan(LEAST_ACCURACY);
    expect(complaints).toEqual([]);
    await page.close();
  });
});
