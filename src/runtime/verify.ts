// Verify: every step of a run is carried out again by the CPU reference, in float64, from the very inputs the backend
// gave that step, and each element of its result is held against its own error bound. So an error is charged to the
// kernel that made it, not to those after it.

import { throwIfAborted } from "../core/errors.ts";
import type { TensorData } from "../core/tensorData.ts";
import { boundOf, evaluateReference, propagatePointwise } from "../ops/evaluate.ts";
import type { ReferenceInput } from "../ops/operator.ts";
import { formatTable, strategyLabel, type DispatchStep } from "../scheduler/plan.ts";
import type { Compiled } from "../scheduler/schedule.ts";
import type { Executable, Inputs, TracedStep } from "./executor.ts";

export interface StepReport {
  readonly step: number;
  /** `#12 Conv+Relu (0/Conv)`. */
  readonly name: string;
  readonly strategy: string;
  /** Largest |actual − reference| over the step's outputs. */
  readonly maxError: number;
  /** Largest |actual − reference| / bound; up to 1 is right. */
  readonly maxErrorOverBound: number;
  readonly passed: boolean;
  /** The worst element: which output, where, what came and what was expected. */
  readonly worst:
    | {
        readonly output: string;
        readonly index: number;
        readonly actual: number;
        readonly expected: number;
        readonly bound: number;
      }
    | undefined;
}

export class VerifyReport {
  constructor(
    readonly adapter: string,
    readonly steps: readonly StepReport[],
  ) {}

  get passed(): boolean {
    return this.steps.every((step) => step.passed);
  }

  /** The first step outside its bound, where a divergence starts. */
  get firstFailure(): StepReport | undefined {
    return this.steps.find((step) => !step.passed);
  }

  /** Largest absolute error of any step. */
  get maxError(): number {
    return Math.max(0, ...this.steps.map((step) => step.maxError));
  }

  toString(): string {
    const rows = this.steps.map(({ name, strategy, maxError, maxErrorOverBound, passed }) => [
      name,
      strategy,
      maxError.toExponential(2),
      maxErrorOverBound.toFixed(3),
      passed ? "ok" : "WRONG",
    ]);
    const failure = this.firstFailure;
    const { worst } = failure ?? {};
    const verdict = failure
      ? `first wrong step on ${this.adapter}: ${failure.name} by ${failure.strategy}` +
        (worst
          ? `, ${worst.output}[${worst.index}] is ${worst.actual}, expected ${worst.expected} ± ${worst.bound.toExponential(2)}`
          : "")
      : `all ${this.steps.length} steps within their bounds on ${this.adapter}`;
    return `${formatTable(["step", "strategy", "max error", "error/bound", ""], rows)}\n${verdict}`;
  }
}

/** Runs `executable` step by step and judges every step. `adapter` names the backend in the report. */
export async function verify(
  executable: Executable,
  inputs: Inputs,
  adapter: string,
  {
    signal,
    onProgress,
  }: { signal?: AbortSignal | undefined; onProgress?: ((done: number, total: number) => void) | undefined } = {},
): Promise<VerifyReport> {
  const { compiled } = executable;
  const reports: StepReport[] = [];
  await executable.trace(
    inputs,
    (traced) => {
      throwIfAborted(signal);
      reports.push(judge(compiled, traced));
      onProgress?.(reports.length, compiled.plan.steps.length);
    },
    signal,
  );
  return new VerifyReport(adapter, reports);
}

interface Expected {
  readonly values: ArrayLike<number>;
  readonly bounds: ArrayLike<number>;
}

function judge({ plan, operators }: Compiled, { index, inputs, outputs }: TracedStep): StepReport {
  const step = plan.steps[index]!;
  const expected =
    step.kind === "copy"
      ? new Map([[step.outputs[0]!, exactly(inputs[0]!)]])
      : expectedResults(step, { plan, operators }, new Map(step.inputs.map((id, i) => [id, inputs[i]!])));
  let maxError = 0;
  let maxErrorOverBound = 0;
  let worst: StepReport["worst"];
  step.outputs.forEach((id, o) => {
    const { values, bounds } = expected.get(id)!;
    const actual = outputs[o]!.data;
    for (let i = 0; i < actual.length; i++) {
      const difference = distance(actual[i]!, values[i]!);
      if (difference === 0 || bounds[i] === Infinity) continue;
      const ratio = difference / bounds[i]!;
      maxError = Math.max(maxError, difference);
      if (!(ratio <= maxErrorOverBound)) {
        maxErrorOverBound = ratio;
        worst = {
          output: plan.values[id]!.name,
          index: i,
          actual: actual[i]!,
          expected: values[i]!,
          bound: bounds[i]!,
        };
      }
    }
  });
  const strategy = step.kind === "copy" ? "copy" : strategyLabel(step);
  return {
    step: index,
    name: plan.stepName(index),
    strategy,
    maxError,
    maxErrorOverBound,
    passed: maxErrorOverBound <= 1,
    worst,
  };
}

/** |a − b|; 0 for equal infinities and for two NaNs, ∞ where only one is NaN. */
function distance(actual: number, expected: number): number {
  if (Object.is(actual, expected) || actual === expected) return 0;
  const difference = Math.abs(actual - expected);
  return Number.isNaN(difference) ? Infinity : difference;
}

function exactly({ data }: TensorData): Expected {
  return { values: data, bounds: new Float64Array(data.length) };
}

/** Reference values and error bounds of all nodes of a step; bounds of a fused chain grow as errors pass through it. */
function expectedResults(
  step: DispatchStep,
  { plan, operators }: Pick<Compiled, "plan" | "operators">,
  inputs: ReadonlyMap<number, TensorData>,
): Map<number, Expected> {
  const known = new Map<number, Expected>();
  const operand = (id: number): ReferenceInput & Expected => {
    const { dtype, shape, literal } = plan.values[id]!;
    const computed = known.get(id);
    if (computed) return { dtype, shape, data: computed.values as Float64Array, ...computed };
    const data = literal === undefined ? inputs.get(id)!.data : Float64Array.of(literal);
    return { dtype, shape, data, values: data, bounds: new Float64Array(data.length) };
  };
  for (const node of step.nodes) {
    const operator = operators.get(node.operator)!;
    const args = node.inputs.map((id) => (id === null ? undefined : operand(id)));
    const outputs = node.outputs.map((id) => plan.values[id]!);
    const problem = { inputs: args, outputs, attributes: node.attributes };
    if (operator.pointwise) {
      const present = args.filter((arg) => arg !== undefined);
      const { values, errors } = propagatePointwise(
        operator,
        node.attributes,
        present.map(({ data }) => data),
        present.map(({ bounds }) => bounds),
        present.map(({ shape }) => shape),
        outputs[0]!.shape,
        outputs[0]!.dtype,
      );
      known.set(node.outputs[0]!, { values, bounds: errors });
      continue;
    }
    const [first] = args;
    const isMade = node.inputs[0] !== undefined && node.inputs[0] !== null && known.has(node.inputs[0]);
    const spread = isMade && first ? operator.spread!(first, first.bounds, problem) : undefined;
    evaluateReference(operator, args, problem).forEach((result, i) => {
      const bounds = boundOf(operator, problem, i, result);
      spread?.forEach((moved, at) => (bounds[at]! += moved));
      known.set(node.outputs[i]!, { values: result.values, bounds });
    });
  }
  return known;
}
