// Hands tests to a worker process, one at a time, and replaces the worker when it dies or takes too long.

import { fork, type ChildProcess } from "node:child_process";
import { DeviceUnavailableError } from "../../core/errors.ts";
import type { Backend } from "../../engine.ts";
import type { TestFolder } from "./folders.ts";
import type { TestResult } from "./runner.ts";
import type { WorkerReply } from "./worker.ts";

export interface CoordinatorOptions {
  readonly backend: Backend;
  /** The command's own program, which becomes the worker when it is given `arguments`. */
  readonly program: string;
  readonly arguments: readonly string[];
  /** For one test, the start of a worker included. */
  readonly timeoutMs: number;
  /** Before each test. */
  readonly onStart?: (test: TestFolder, index: number) => void;
  readonly onResult?: (result: TestResult) => void;
}

/** Where everything ran, and what came of it, in the order of the tests. */
export interface ConformanceReport {
  readonly adapter: string;
  readonly results: readonly TestResult[];
}

/** Runs all tests. Throws DeviceUnavailableError when the backend cannot be had. */
export async function runTests(tests: readonly TestFolder[], options: CoordinatorOptions): Promise<ConformanceReport> {
  const results: TestResult[] = [];
  let worker: Worker | undefined;
  let adapter = "";
  try {
    for (const [index, test] of tests.entries()) {
      options.onStart?.(test, index);
      const start = performance.now();
      let result: TestResult;
      try {
        worker ??= await Worker.start(options);
        adapter = worker.adapter;
        result = await worker.run(test, options.timeoutMs);
      } catch (error) {
        if (!(error instanceof WorkerGone)) throw error;
        worker = undefined;
        result = {
          name: test.name,
          status: "failed",
          why: error.message,
          timeMs: Math.round(performance.now() - start),
        };
      }
      results.push(result);
      options.onResult?.(result);
    }
  } finally {
    worker?.stop();
  }
  return { adapter, results };
}

class WorkerGone extends Error {}

class Worker {
  private constructor(
    private readonly child: ChildProcess,
    readonly adapter: string,
  ) {}

  static async start(options: CoordinatorOptions): Promise<Worker> {
    const child = fork(options.program, options.arguments, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const reply = await replyOf(child, options.timeoutMs);
    if ("noEngine" in reply) throw new DeviceUnavailableError(reply.noEngine);
    return new Worker(child, "ready" in reply ? reply.ready : "");
  }

  async run(test: TestFolder, timeoutMs: number): Promise<TestResult> {
    const reply = replyOf(this.child, timeoutMs);
    this.child.send(test);
    const answer = await reply;
    if (!("result" in answer)) throw new WorkerGone("the worker gave no result");
    return answer.result;
  }

  stop(): void {
    this.child.disconnect();
  }
}

/** The child's next message. Rejects with WorkerGone when it ends or says nothing for `timeoutMs`. */
function replyOf(child: ChildProcess, timeoutMs: number): Promise<WorkerReply> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      clearTimeout(timer);
      child.off("message", onMessage).off("exit", onExit);
    };
    const onMessage = (reply: WorkerReply): void => {
      settle();
      resolve(reply);
    };
    const onExit = (code: number | null, signal: NodeJS.Signals | null): void => {
      settle();
      reject(new WorkerGone(`the process crashed (${signal ?? `exit code ${code}`})`));
    };
    const timer = setTimeout(() => {
      settle();
      child.kill("SIGKILL");
      reject(new WorkerGone(`no result within ${timeoutMs / 1000} s`));
    }, timeoutMs);
    child.on("message", onMessage).on("exit", onExit);
  });
}
