// Long work that leaves room for others: a page's own tasks, timers, signals.

import { throwIfAborted } from "./errors.ts";

/** Milliseconds of work between two pauses: with the longest single piece after it, well within a page's 50. */
const BUDGET_MS = 8;

declare const scheduler: { postTask?(task: () => void): Promise<void> } | undefined;

/** Resolves in a task of its own, after those that wait by now. Browsers hold timers back, so they are the second choice. */
export const pause = (): Promise<void> =>
  (typeof scheduler === "object" && scheduler.postTask?.(() => undefined)) ||
  new Promise((resolve) => setTimeout(resolve));

/** What `work` comes to, unless the signal comes first: then its reason is thrown, and whatever `work` holds is its own to free. */
export async function unlessAborted<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (!signal) return work;
  work.catch(() => undefined);
  throwIfAborted(signal);
  let stop!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", stop);
  });
  return Promise.race([work, aborted]).finally(() => {
    signal.removeEventListener("abort", stop);
  });
}

/** A function to be awaited between pieces of work: it pauses when enough has been done since, and then asks the signal. */
export function pacer(signal?: AbortSignal, budgetMs = BUDGET_MS): () => Promise<void> {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < budgetMs) return;
    await pause();
    throwIfAborted(signal);
    since = performance.now();
  };
}
