// The process that computes. A crash of a driver takes it down and nothing else: the coordinator starts another one and goes on.

import { createEngine, type Backend, type Engine } from "../../engine.ts";
import type { TestFolder } from "./folders.ts";
import { runTest, type TestResult } from "./runner.ts";

/** What the coordinator sends: a test to run. What comes back: its result, or why there is no engine. */
export type WorkerReply = { readonly ready: string } | { readonly result: TestResult } | { readonly noEngine: string };

/** Serves tests until the coordinator hangs up. */
export async function serve(backend: Backend): Promise<void> {
  const send = (reply: WorkerReply): void => void process.send!(reply);
  let engine: Engine;
  try {
    engine = await createEngine({ backend });
  } catch (error) {
    send({ noEngine: error instanceof Error ? error.message : String(error) });
    return;
  }
  let isLost = false;
  const watch = (): void => void engine.lost.then(() => (isLost = true));
  watch();
  const run = async (test: TestFolder): Promise<void> => {
    if (isLost) {
      engine.dispose();
      engine = await createEngine({ backend });
      isLost = false;
      watch();
    }
    const result = await runTest(engine, test);
    isLost ||= result.engineIsSuspect ?? false;
    send({ result });
  };
  process.on("message", (test: TestFolder) => {
    run(test).catch((error: unknown) => {
      console.error(error);
      process.exit(1);
    });
  });
  process.on("disconnect", () => process.exit());
  send({ ready: engine.name });
}
