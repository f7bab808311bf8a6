// Two small charts. Memory: every intermediate tensor is a rectangle, from the step that writes it to the last that reads it,
// at the bytes it was given; above them the bytes that are allocated, and those alive. Errors: a bar for each step on a
// logarithmic scale, with the bound as a line.

import { Painted, color, sans } from "./canvas.ts";
import { bytes } from "../shared/format.ts";
import type { PlanFacts, StepCheck } from "./protocol.ts";

const LEFT = 62;
const BOTTOM = 22;
const TOP = 16;

export class MemoryChart extends Painted {
  /** Says in words what is under the pointer. */
  onHint: (text: string) => void = () => undefined;
  private facts: PlanFacts | undefined;
  private pointed: number | undefined;

  constructor(canvas: HTMLCanvasElement) {
    super(canvas);
    canvas.addEventListener("pointermove", (event) => this.point(event.offsetX, event.offsetY));
    canvas.addEventListener("pointerleave", () => this.point(-1, -1));
  }

  show(facts: PlanFacts): void {
    this.facts = facts;
    this.point(-1, -1);
    this.canvas.setAttribute(
      "aria-label",
      `Memory over ${facts.steps} steps: ${bytes(facts.intermediateBytes)} allocated, at most ${bytes(facts.liveBytes)} alive`,
    );
    this.repaint();
  }

  protected override paint(context: CanvasRenderingContext2D): void {
    const { facts, width, height } = this;
    if (!facts) return;
    const { stays, live, steps, intermediateBytes } = facts;
    const { x, y } = this.scales(facts);
    const [line, muted, accent, wash] = [color("--line"), color("--muted"), color("--accent"), color("--accent-wash")];
    context.font = sans(12);
    context.fillStyle = muted;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const share of [0, 0.5, 1]) {
      const at = y(share * intermediateBytes);
      context.strokeStyle = line;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(LEFT, Math.round(at) + 0.5);
      context.lineTo(width, Math.round(at) + 0.5);
      context.stroke();
      context.fillText(bytes(Math.round(share * intermediateBytes)), LEFT - 8, at);
    }
    context.textBaseline = "alphabetic";
    context.textAlign = "left";
    context.fillText("step 0", LEFT, height - 5);
    context.textAlign = "right";
    context.fillText(String(Math.max(0, steps - 1)), width, height - 5);

    context.lineWidth = 1;
    stays.forEach(({ firstStep, lastStep, startBytes, sizeBytes }, i) => {
      const [left, top] = [x(firstStep), y(startBytes + sizeBytes)];
      context.fillStyle = i === this.pointed ? accent : wash;
      context.strokeStyle = accent;
      const [wide, tall] = [x(lastStep + 1) - left, y(startBytes) - top];
      context.fillRect(left, top, wide, tall);
      if (wide > 3 && tall > 3) context.strokeRect(left + 0.5, top + 0.5, wide - 1, tall - 1);
    });

    context.strokeStyle = color("--warm");
    context.lineWidth = 2;
    context.lineJoin = "round";
    context.beginPath();
    live.forEach((alive, step) => {
      context.lineTo(x(step), y(alive));
      context.lineTo(x(step + 1), y(alive));
    });
    context.stroke();
  }

  private scales({ steps, intermediateBytes }: PlanFacts): {
    x: (step: number) => number;
    y: (bytes: number) => number;
  } {
    const wide = (this.width - LEFT) / Math.max(1, steps);
    const tall = (this.height - TOP - BOTTOM) / Math.max(1, intermediateBytes);
    return { x: (step) => LEFT + step * wide, y: (at) => this.height - BOTTOM - at * tall };
  }

  private point(left: number, top: number): void {
    if (!this.facts) return;
    const { x, y } = this.scales(this.facts);
    const { stays } = this.facts;
    const hit = stays.findIndex(
      ({ firstStep, lastStep, startBytes, sizeBytes }) =>
        left >= x(firstStep) && left < x(lastStep + 1) && top <= y(startBytes) && top > y(startBytes + sizeBytes),
    );
    this.pointed = hit < 0 ? undefined : hit;
    const stay = stays[hit];
    this.onHint(
      stay
        ? `${stay.name}: ${stay.shape}, ${bytes(stay.sizeBytes)}, steps ${stay.firstStep} to ${stay.lastStep}.`
        : "Each box is a tensor, from the step that writes it to the last that reads it. The line is what is alive; the top of the chart is what is allocated.",
    );
    this.repaint();
  }
}

const LOWEST = 1e-4; // errors below this share of the bound all look alike
const HIGHEST = 10;

export class ErrorChart extends Painted {
  private checks: readonly StepCheck[] = [];

  show(checks: readonly StepCheck[]): void {
    this.checks = checks;
    const worst = checks.reduce((most, { errorOverBound }) => Math.max(most, errorOverBound), 0);
    this.canvas.setAttribute(
      "aria-label",
      `Error over bound of ${checks.length} steps: at most ${worst.toPrecision(2)}`,
    );
    this.repaint();
  }

  protected override paint(context: CanvasRenderingContext2D): void {
    const { checks, width, height } = this;
    const share = (value: number): number =>
      Math.log(Math.min(HIGHEST, Math.max(LOWEST, value)) / LOWEST) / Math.log(HIGHEST / LOWEST);
    const y = (value: number): number => height - BOTTOM - share(value) * (height - TOP - BOTTOM);
    const wide = (width - LEFT) / Math.max(1, checks.length);
    const [accent, warm, muted] = [color("--accent"), color("--warm"), color("--muted")];
    context.font = sans(12);
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const [value, label] of [
      [1, "bound"],
      [0.01, "1 %"],
      [LOWEST, "0.01 %"],
    ] as const) {
      const at = Math.round(y(value)) + 0.5;
      context.strokeStyle = value === 1 ? warm : color("--line");
      context.setLineDash(value === 1 ? [5, 4] : []);
      context.beginPath();
      context.moveTo(LEFT, at);
      context.lineTo(width, at);
      context.stroke();
      context.fillStyle = value === 1 ? warm : muted;
      context.fillText(label, LEFT - 8, at);
    }
    context.setLineDash([]);
    checks.forEach(({ errorOverBound, passed }, i) => {
      context.fillStyle = passed ? accent : warm;
      const top = Math.min(y(errorOverBound), height - BOTTOM - 1);
      context.fillRect(
        LEFT + i * wide + (wide > 4 ? 1 : 0),
        top,
        Math.min(40, wide > 4 ? wide - 2 : wide),
        height - BOTTOM - top,
      );
    });
    context.textBaseline = "alphabetic";
    context.fillStyle = muted;
    context.textAlign = "left";
    context.fillText("step 0", LEFT, height - 5);
    context.textAlign = "right";
    context.fillText(String(Math.max(0, checks.length - 1)), width, height - 5);
  }
}
