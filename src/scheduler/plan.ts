// A plan is what will be carried out, as plain printable data: steps, buffers, kernels' texts and the numbers they are
// given. It holds no GPU object, serialises to JSON, and both executors (GPU and CPU reference) run the same one.

import type { DType } from "../core/dtype.ts";
import { formatShape, type Shape } from "../core/shape.ts";
import type { Storage } from "../core/storage.ts";
import type { AttributeValue } from "../ops/operator.ts";
import type { Parameters, Uniform } from "../../shaders/strategy.ts";

type BufferKind = "input" | "constant" | "variable" | "intermediate" | "output";

export interface PlanBuffer {
  readonly kind: BufferKind;
  readonly sizeBytes: number;
  /** The tensor it belongs to, or the first that uses it. */
  readonly name: string;
}

export interface PlanValue {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly name: string;
  /** Index into {@link Plan.buffers}; undefined for values that live in registers only, and for literals. */
  readonly buffer?: number;
  /** Where in the buffer it starts; 0 when left out. */
  readonly offsetBytes?: number;
  /** How its elements are stored, where they take less than a word. */
  readonly storage?: Storage;
  /** Its value, for constant scalars: pointwise code has them in its text instead of reading memory. */
  readonly literal?: number;
  /** The value whose elements these are, in another shape. */
  readonly alias?: number;
}

/** One operator application carried out by a step. Numbers index {@link Plan.values}; null is an absent input. */
export interface PlanNode {
  readonly operator: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly inputs: readonly (number | null)[];
  readonly outputs: readonly number[];
}

export interface PlanBinding {
  readonly buffer: number;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

export interface DispatchStep {
  readonly kind: "dispatch";
  /** Operators it carries out, e.g. `Conv+Relu`. */
  readonly operator: string;
  readonly strategy: string;
  readonly params: Parameters;
  /** What rewrote the node that this is a part of: `splitK parts=8`. */
  readonly rewrite?: string;
  /** Operator applications in order; the first is the heavy one, if any. */
  readonly nodes: readonly PlanNode[];
  /** Values it reads from and writes to memory. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Index into {@link Plan.kernels}. */
  readonly kernel: number;
  /** What each storage binding spans. */
  readonly bindings: readonly PlanBinding[];
  readonly uniforms: readonly Uniform[];
  readonly workgroups: readonly [number, number, number];
  readonly flops: number;
  /** Fewest bytes that must move. */
  readonly bytes: number;
  /** Bytes the strategy says it moves. */
  readonly trafficBytes: number;
}

interface CopyStep {
  readonly kind: "copy";
  readonly from: PlanBinding;
  readonly to: PlanBinding;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

export type PlanStep = DispatchStep | CopyStep;

export interface PlanKernel {
  readonly wgsl: string;
  readonly storage: readonly ("read" | "read_write")[];
  readonly hasUniforms: boolean;
}

/** Plain data of a plan. */
export interface PlanData {
  readonly values: readonly PlanValue[];
  readonly buffers: readonly PlanBuffer[];
  readonly kernels: readonly PlanKernel[];
  readonly steps: readonly PlanStep[];
  /** Name → value. */
  readonly inputs: Readonly<Record<string, number>>;
  readonly outputs: Readonly<Record<string, number>>;
  readonly memory: PlanMemory;
}

export interface PlanMemory {
  /** Bytes of all intermediate buffers together: what is allocated. */
  readonly intermediateBytes: number;
  /** The largest sum of bytes of intermediates alive at one step: no assignment can do with less. */
  readonly liveBytes: number;
}

export class Plan implements PlanData {
  readonly values: PlanData["values"];
  readonly buffers: PlanData["buffers"];
  readonly kernels: PlanData["kernels"];
  readonly steps: PlanData["steps"];
  readonly inputs: PlanData["inputs"];
  readonly outputs: PlanData["outputs"];
  readonly memory: PlanMemory;

  constructor(data: PlanData) {
    this.values = data.values;
    this.buffers = data.buffers;
    this.kernels = data.kernels;
    this.steps = data.steps;
    this.inputs = data.inputs;
    this.outputs = data.outputs;
    this.memory = data.memory;
  }

  /** `#12 Conv+Relu (0/Conv)`: how errors and reports name a step. */
  stepName(index: number): string {
    const step = this.steps[index]!;
    return step.kind === "copy"
      ? `#${index} copy ${this.values[step.inputs[0]!]!.name}`
      : `#${index} ${step.operator} (${step.nodes[0]!.name})`;
  }

  /** A table: step, operator, strategy, shapes, workgroups, flops, bytes, buffer. */
  toString(): string {
    const shapes = (ids: readonly number[]): string => ids.map((id) => formatShape(this.values[id]!.shape)).join(" ");
    const place = (id: number): string => {
      const { buffer, offsetBytes } = this.values[id]!;
      return offsetBytes ? `b${buffer}+${offsetBytes}` : `b${buffer}`;
    };
    const places = (ids: readonly number[]): string => ids.map(place).join(" ");
    const rows = this.steps.map((step, i) =>
      step.kind === "copy"
        ? [
            `${i}`,
            "copy",
            "",
            `${shapes(step.inputs)} → ${shapes(step.outputs)}`,
            "",
            "",
            "",
            `${places(step.inputs)} → ${places(step.outputs)}`,
          ]
        : [
            `${i}`,
            step.operator,
            strategyLabel(step),
            `${shapes(step.inputs)} → ${shapes(step.outputs)}`,
            step.workgroups.join("×"),
            formatCount(step.flops),
            formatBytes(step.bytes),
            `${places(step.inputs)} → ${places(step.outputs)}`,
          ],
    );
    const header = ["step", "operator", "strategy", "shapes", "workgroups", "flops", "bytes", "buffers"];
    const { intermediateBytes, liveBytes } = this.memory;
    const summary =
      `${this.steps.length} steps, ${this.kernels.length} kernels, ${this.buffers.length} buffers; ` +
      `intermediates ${formatBytes(intermediateBytes)} (live at most ${formatBytes(liveBytes)})`;
    return `${formatTable(header, rows)}\n${summary}`;
  }
}

/** `registerTile rows=4 columns=8`, or, for a part of a rewritten node, `splitK parts=8 › registerTile rows=4 columns=8`. */
export function strategyLabel({ strategy, params, rewrite }: DispatchStep): string {
  const label = parametersLabel(strategy, params);
  return rewrite === undefined ? label : `${rewrite} › ${label}`;
}

/** `registerTile rows=4 columns=8`. */
export function parametersLabel(strategy: string, params: Parameters): string {
  const pairs = Object.entries(params).map(
    ([name, value]) => `${name}=${typeof value === "number" ? value : value.join("×")}`,
  );
  return [strategy, ...pairs].join(" ");
}

/** Left-aligned columns under a rule. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join("  ")
      .trimEnd();
  return [line(header), widths.map((width) => "─".repeat(width)).join("  "), ...rows.map(line)].join("\n");
}

/** 1234567 → `1.23 M`. */
export function formatCount(count: number): string {
  const units = ["", " k", " M", " G", " T"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit++;
  }
  return `${unit === 0 ? count : count.toPrecision(3)}${units[unit]}`;
}

/** 1536 → `1.50 KiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${unit === 0 ? bytes : bytes.toPrecision(3)} ${units[unit]}`;
}
