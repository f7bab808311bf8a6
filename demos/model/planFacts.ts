// Plans, for the page: work, memory over steps, and which steps carry out a node of the file. A run in several segments has
// a plan for each; they follow one another.

import type { Plan, PlanNode, PlanStep } from "neurite";
import type { PlanFacts, Stay } from "./protocol.ts";

const WORD_BYTES = 4;

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const sizeBytes = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, WORD_BYTES);
export const shapeText = (shape: readonly number[]): string => (shape.length > 0 ? shape.join(" × ") : "scalar");

export function planFacts(plans: readonly Plan[], hostNodes: readonly string[]): PlanFacts {
  const steps = plans.flatMap((plan) => plan.steps);
  const buffers = plans.flatMap((plan) => plan.buffers);
  const stays: Stay[] = [];
  let [firstStep, startBytes] = [0, 0];
  for (const plan of plans) {
    stays.push(...staysIn(plan, firstStep, startBytes));
    firstStep += plan.steps.length;
    startBytes += plan.memory.intermediateBytes;
  }
  const live = steps.map((_, step) =>
    sum(stays.filter((stay) => stay.firstStep <= step && step <= stay.lastStep).map((stay) => stay.sizeBytes)),
  );
  return {
    steps: steps.length,
    kernels: sum(plans.map(({ kernels }) => kernels.length)),
    flops: sum(steps.map((step) => (step.kind === "dispatch" ? step.flops : 0))),
    bytes: sum(steps.map((step) => (step.kind === "dispatch" ? step.bytes : 2 * step.to.sizeBytes))),
    constantBytes: sum(buffers.filter(({ kind }) => kind === "constant").map((buffer) => buffer.sizeBytes)),
    intermediateBytes: sum(plans.map(({ memory }) => memory.intermediateBytes)),
    liveBytes: Math.max(0, ...plans.map(({ memory }) => memory.liveBytes)),
    unsharedBytes: sum(stays.map((stay) => stay.sizeBytes)),
    stays,
    live,
    stepNames: plans.flatMap((plan) => plan.steps.map((_, i) => plan.stepName(i))),
    hostNodes,
  };
}

/** When and where each intermediate is alive. A value in another shape shares its root's bytes. */
function staysIn(plan: Plan, stepsBefore: number, bytesBefore: number): Stay[] {
  const { values, buffers, steps } = plan;
  const starts = new Map<number, number>();
  let total = bytesBefore;
  buffers.forEach((buffer, i) => {
    if (buffer.kind !== "intermediate") return;
    starts.set(i, total);
    total += buffer.sizeBytes;
  });
  const rootOf = (id: number): number => {
    let root = id;
    while (values[root]!.alias !== undefined) root = values[root]!.alias!;
    return root;
  };
  const spans = new Map<number, { first: number; last: number }>();
  steps.forEach((step, i) => {
    for (const id of [...step.outputs, ...step.inputs]) {
      const root = rootOf(id);
      const { buffer } = values[root]!;
      if (buffer === undefined || !starts.has(buffer)) continue;
      const span = spans.get(root);
      if (span) span.last = i;
      else spans.set(root, { first: i, last: i });
    }
  });
  return [...spans].map(([id, { first, last }]) => {
    const { name, shape, buffer, offsetBytes = 0, storage } = values[id]!;
    return {
      name,
      shape: shapeText(shape),
      firstStep: stepsBefore + first,
      lastStep: stepsBefore + last,
      startBytes: starts.get(buffer!)! + offsetBytes,
      sizeBytes: storage ? sizeBytes(shape) / 2 : sizeBytes(shape), // what kernels write is words or halves
    };
  });
}

/** What plans know of nodes of the file, by their label. Names in a plan are a label and what it was made into: `conv1/Conv`. */
export class PlanIndex {
  private readonly types = new Map<string, string[]>();
  private readonly steps = new Map<string, Set<string>>();

  constructor(plans: readonly Plan[], labels: ReadonlySet<string>) {
    const labelOf = (name: string): string | undefined => {
      for (let end = name.length; end > 0; end = name.lastIndexOf("/", end - 1)) {
        const label = name.slice(0, end);
        if (labels.has(label)) return label;
      }
      return undefined;
    };
    for (const plan of plans) {
      const typeOf = (id: number): string => `${plan.values[id]!.dtype} [${plan.values[id]!.shape.join(", ")}]`;
      plan.values.forEach(({ name }, id) => {
        const label = labelOf(name);
        if (label !== undefined) this.types.set(label, [typeOf(id)]);
      });
      plan.steps.forEach((step, i) => {
        for (const { name, outputs } of nodesOf(step)) {
          const label = labelOf(name);
          if (label === undefined) continue;
          if (outputs.length > 1) this.types.set(label, outputs.map(typeOf));
          const texts = this.steps.get(label) ?? new Set();
          this.steps.set(label, texts.add(`${plan.stepName(i)}, by ${(step as { strategy: string }).strategy}`));
        }
      });
    }
  }

  /** Types of a node's outputs. */
  typesOf(label: string): readonly string[] | undefined {
    return this.types.get(label);
  }

  stepsOf(label: string): readonly string[] {
    return [...(this.steps.get(label) ?? [])];
  }
}

const nodesOf = (step: PlanStep): readonly PlanNode[] => (step.kind === "dispatch" ? step.nodes : []);
