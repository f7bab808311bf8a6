// What can be said about a model without running it.

import { isStoredDType, storedSizeBytes } from "../../formats/elements.ts";
import { unsupportedOperators } from "../../formats/onnx/load.ts";
import type { GraphProto, ModelProto, ValueInfo } from "../../formats/onnx/model.ts";
import type { Plan } from "../../scheduler/plan.ts";

export interface ModelFacts {
  readonly producer: string;
  readonly opsets: Readonly<Record<string, number>>;
  readonly inputs: readonly Pick<ValueInfo, "name" | "dtype" | "shape">[];
  readonly outputs: readonly Pick<ValueInfo, "name" | "dtype" | "shape">[];
  /** Operator → how often it occurs, subgraphs included, the most frequent first. */
  readonly operators: Readonly<Record<string, number>>;
  readonly parameters: { readonly tensors: number; readonly elements: number; readonly bytes: number };
  /** Operators that are not there, with how often they occur. */
  readonly unsupported: readonly { readonly operator: string; readonly count: number }[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** Work and memory of one run with known shapes. */
export interface PlanFacts {
  readonly steps: number;
  readonly kernels: number;
  readonly flops: number;
  /** Fewest bytes that must move. */
  readonly bytes: number;
  readonly memory: {
    readonly inputBytes: number;
    readonly outputBytes: number;
    readonly constantBytes: number;
    readonly intermediateBytes: number;
    /** The least that intermediates can do with. */
    readonly liveBytes: number;
  };
}

export function modelFacts(model: ModelProto): ModelFacts {
  const { graph, producer, opsets, metadata } = model;
  const counts = new Map<string, number>();
  let [tensors, elements, bytes] = [0, 0, 0];
  const visit = ({ nodes, initializers }: GraphProto): void => {
    for (const tensor of initializers.values()) {
      const count = tensor.shape.reduce((product, extent) => product * extent, 1);
      tensors++;
      elements += count;
      bytes += isStoredDType(tensor.dtype) ? count * storedSizeBytes(tensor.dtype) : tensor.bytes.length;
    }
    for (const { operator, domain, attributes } of nodes) {
      const name = domain === "" ? operator : `${domain}::${operator}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
      for (const { kind, value } of attributes.values()) if (kind === "graph") visit(value);
    }
  };
  visit(graph);
  const declared = ({ name, dtype, shape }: ValueInfo): ModelFacts["inputs"][number] => ({ name, dtype, shape });
  return {
    producer,
    opsets,
    inputs: graph.inputs.filter(({ name }) => !graph.initializers.has(name)).map(declared),
    outputs: graph.outputs.map(declared),
    operators: Object.fromEntries([...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))),
    parameters: { tensors, elements, bytes },
    unsupported: unsupportedOperators(graph, model, true),
    metadata,
  };
}

/** What several plans (the segments of one run) come to together. */
export function planFacts(plans: readonly Plan[]): PlanFacts {
  const steps = plans.flatMap((plan) => plan.steps);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const buffers = plans.flatMap((plan) => plan.buffers);
  const bytesOf = (...kinds: string[]): number =>
    sum(buffers.filter(({ kind }) => kinds.includes(kind)).map(({ sizeBytes }) => sizeBytes));
  return {
    steps: steps.length,
    kernels: sum(plans.map(({ kernels }) => kernels.length)),
    flops: sum(steps.map((step) => (step.kind === "dispatch" ? step.flops : 0))),
    bytes: sum(steps.map((step) => (step.kind === "dispatch" ? step.bytes : 2 * step.to.sizeBytes))),
    memory: {
      inputBytes: bytesOf("input"),
      outputBytes: bytesOf("output"),
      constantBytes: bytesOf("constant", "variable"),
      intermediateBytes: sum(plans.map(({ memory }) => memory.intermediateBytes)),
      liveBytes: Math.max(0, ...plans.map(({ memory }) => memory.liveBytes)),
    },
  };
}

/** `com.microsoft::X (3×), Y` in one line. */
export function listUnsupported(unsupported: ModelFacts["unsupported"]): string {
  return unsupported.map(({ operator, count }) => `${operator}${count > 1 ? ` (${count}×)` : ""}`).join(", ");
}
