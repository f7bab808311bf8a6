// ONNX's operator tests, generated variants of them and whole models, each loaded and run as a user would, on the CPU
// reference and on a GPU, against outputs that others computed. `neurite conformance` runs the same, with the same judge.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findTests } from "../../src/cli/conformance/folders.ts";
import { runTest } from "../../src/cli/conformance/runner.ts";
import { createEngine, type Backend, type Engine } from "../../src/engine.ts";

/** The folder with the sets: $NEURITE_CONFORMANCE, or beside the project. */
const home = process.env["NEURITE_CONFORMANCE"] ?? join(import.meta.dirname, "../../../shared/conformance");

/** Folders that do not pass, and why that is right. */
const KNOWN: Readonly<Record<string, string>> = {
  test_dft_inverse: "expects the rounding errors of a float32 FFT where the exact result is 0",
};

/** Models that take a software GPU too long for every run of the tests; `neurite conformance` runs them. */
const LONG: ReadonlySet<string> = new Set(["basic_pitch_nmp", "magika_v3_3", "ppocr_v4_rec"]);

for (const set of ["onnx", "variants", "models"]) {
  const folder = join(home, set);
  const isThere = existsSync(folder);
  const why = isThere ? "" : ` (skipped: there is no ${folder}; set NEURITE_CONFORMANCE)`;
  const tests = isThere ? findTests(folder).filter(({ nondeterministic }) => !nondeterministic) : [];

  describe.skipIf(!isThere)(`${set}${why}`, () => {
    for (const backend of ["cpu", "gpu"] satisfies Backend[])
      describe(backend, () => {
        let engine: Engine;
        beforeAll(async () => {
          engine = await createEngine({ backend });
        });
        afterAll(() => {
          engine.dispose();
        });
        const chosen = tests.filter(({ name }) => !(name in KNOWN) && !(backend === "gpu" && LONG.has(name)));
        it.each(chosen.map((test) => [test.name, test] as const))("%s", async (_, test) => {
          const { status, why: reason } = await runTest(engine, test);
          expect(status, reason).toBe("passed");
        });
      });

    it.skipIf(!isThere)("is a set", () => {
      expect(tests.length).toBeGreaterThan(0);
    });
  });
}
