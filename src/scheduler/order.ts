// The order of steps: any order that respects what each step needs is right; this one keeps little alive. Among the
// steps that are ready, the one that frees most (or adds least) goes first; ties go to the traced order.

import { NeuriteError } from "../core/errors.ts";

export interface Orderable {
  /** Steps that must come before, by index. */
  readonly after: ReadonlySet<number>;
  /** Bytes of intermediates this step brings to life. */
  readonly writtenBytes: number;
  /** Intermediates it reads: each is freed by its last reader. */
  readonly reads: readonly { readonly tensor: number; readonly sizeBytes: number }[];
}

/** A topological order of the steps, as indices. */
export function orderSteps(steps: readonly Orderable[]): number[] {
  const readersLeft = new Map<number, number>();
  for (const { reads } of steps)
    for (const { tensor } of reads) readersLeft.set(tensor, (readersLeft.get(tensor) ?? 0) + 1);
  const waiting = steps.map(({ after }) => after.size);
  const unblocks = steps.map((): number[] => []);
  steps.forEach(({ after }, i) => after.forEach((before) => unblocks[before]!.push(i)));
  const ready = steps.flatMap((_, i) => (waiting[i] === 0 ? [i] : []));
  const order: number[] = [];
  const growth = (i: number): number =>
    steps[i]!.reads.reduce(
      (sum, { tensor, sizeBytes }) => (readersLeft.get(tensor) === 1 ? sum - sizeBytes : sum),
      steps[i]!.writtenBytes,
    );
  while (ready.length > 0) {
    let choice = 0;
    for (let i = 1; i < ready.length; i++) {
      const difference = growth(ready[i]!) - growth(ready[choice]!);
      if (difference < 0 || (difference === 0 && ready[i]! < ready[choice]!)) choice = i;
    }
    const [step] = ready.splice(choice, 1);
    order.push(step!);
    for (const { tensor } of steps[step!]!.reads) readersLeft.set(tensor, readersLeft.get(tensor)! - 1);
    for (const next of unblocks[step!]!) if (--waiting[next]! === 0) ready.push(next);
  }
  if (order.length !== steps.length) throw new NeuriteError("scheduler: the steps depend on each other in a circle");
  return order;
}

/** True if step `from` must come before step `to` already. */
export function precedes(after: readonly ReadonlySet<number>[], from: number, to: number): boolean {
  const pending = [to];
  const seen = new Set<number>();
  while (pending.length > 0) {
    const step = pending.pop()!;
    if (step === from) return true;
    if (seen.has(step)) continue;
    seen.add(step);
    pending.push(...after[step]!);
  }
  return false;
}
