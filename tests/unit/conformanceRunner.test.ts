// The conformance command's judge, and its coordinator with workers that crash, hang or cannot begin.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runTests } from "../../src/cli/conformance/coordinator.ts";
import type { TestFolder } from "../../src/cli/conformance/folders.ts";
import { DEFAULT_TOLERANCE, judge, type Judged, type Tolerance } from "../../src/cli/conformance/judge.ts";
import { DeviceUnavailableError } from "../../src/core/errors.ts";

describe("judge", () => {
  const floats = (...data: number[]): Judged => ({
    dtype: "float32",
    shape: [data.length],
    data: Float32Array.from(data),
  });
  const longs = (...data: bigint[]): Judged => ({
    dtype: "int64",
    shape: [data.length],
    data: BigInt64Array.from(data),
  });
  const relative: Tolerance = { rtol: 0, atol: 0.01, atolRelativeToMax: true };
  const cases: [title: string, actual: Judged, expected: Judged, tolerance: Tolerance, fault: RegExp | undefined][] = [
    ["within rtol", floats(1000.9), floats(1000), DEFAULT_TOLERANCE, undefined],
    ["outside rtol", floats(1001.1), floats(1000), DEFAULT_TOLERANCE, /element 0 is 1001.*± 1\.00/],
    ["within atol of 0", floats(9e-8), floats(0), DEFAULT_TOLERANCE, undefined],
    ["outside atol of 0", floats(2e-7), floats(0), DEFAULT_TOLERANCE, /1 of 1 elements wrong/],
    ["NaN is NaN", floats(NaN, 1), floats(NaN, 1), DEFAULT_TOLERANCE, undefined],
    ["NaN is no number", floats(NaN), floats(1), DEFAULT_TOLERANCE, /is NaN, expected 1/],
    ["a number is no NaN", floats(1), floats(NaN), DEFAULT_TOLERANCE, /is 1, expected NaN/],
    ["infinities by sign", floats(Infinity), floats(-Infinity), DEFAULT_TOLERANCE, /is Infinity/],
    ["equal infinities", floats(-Infinity), floats(-Infinity), DEFAULT_TOLERANCE, undefined],
    ["infinite for finite", floats(Infinity), floats(3e38), DEFAULT_TOLERANCE, /is Infinity/],
    ["a share of the largest finite", floats(0.9, 100, Infinity), floats(0, 100, Infinity), relative, undefined],
    ["more than that share", floats(1.1, 100), floats(0, 100), relative, /element 0/],
    ["the worst is named", floats(2, 9, 3), floats(1, 1, 1), DEFAULT_TOLERANCE, /3 of 3 .* element 1 is 9/],
    [
      "the last digit of a long",
      longs(2n ** 62n),
      longs(2n ** 62n + 1n),
      DEFAULT_TOLERANCE,
      /expected 4611686018427387905/,
    ],
    ["equal longs", longs(-1n, 2n ** 62n), longs(-1n, 2n ** 62n), DEFAULT_TOLERANCE, undefined],
    ["another type", floats(1), longs(1n), DEFAULT_TOLERANCE, /is float32, expected int64/],
    ["another shape", { ...floats(1), shape: [] }, floats(1), DEFAULT_TOLERANCE, /has shape \[\], expected \[1\]/],
    ["nothing", floats(), floats(), relative, undefined],
  ];
  test.each(cases)("%s", (_, actual, expected, tolerance, fault) => {
    const came = judge(actual, expected, tolerance);
    if (fault) expect(came).toMatch(fault);
    else expect(came).toBeUndefined();
  });
});

describe("coordinator", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "neurite-worker-"));
    writeFileSync(
      join(folder, "worker.cjs"),
      `if (process.argv[2] === "none") process.send({ noEngine: "no adapter here" });
       else process.send({ ready: "a worker" });
       process.on("message", ({ name }) => {
         if (name.startsWith("crash")) process.exit(7);
         if (name.startsWith("kill")) process.kill(process.pid, "SIGSEGV");
         if (!name.startsWith("hang")) process.send({ result: { name, status: "passed", timeMs: 1 } });
       });
       process.on("disconnect", () => process.exit());`,
    );
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const tests = (...names: string[]): TestFolder[] =>
    names.map((name) => ({
      name,
      path: name,
      tolerance: DEFAULT_TOLERANCE,
      nondeterministic: false,
      wideIntegers: false,
    }));
  const options = (...args: string[]) => ({
    backend: "cpu" as const,
    program: join(folder, "worker.cjs"),
    arguments: args,
    timeoutMs: 1500,
  });

  test("a crash or a hang costs one test", async () => {
    const { adapter, results } = await runTests(tests("a", "crash", "b", "hang", "kill", "c"), options());
    expect(adapter).toBe("a worker");
    expect(results.map(({ name, status }) => `${name} ${status}`)).toEqual([
      "a passed",
      "crash failed",
      "b passed",
      "hang failed",
      "kill failed",
      "c passed",
    ]);
    expect(results.map(({ why }) => why)).toEqual([
      undefined,
      "the process crashed (exit code 7)",
      undefined,
      "no result within 1.5 s",
      "the process crashed (SIGSEGV)",
      undefined,
    ]);
  });

  test("no engine at all ends it", async () => {
    await expect(runTests(tests("a"), options("none"))).rejects.toThrow(DeviceUnavailableError);
  });
});
