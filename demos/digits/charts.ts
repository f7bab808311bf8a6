// The two curves, drawn by uPlot: every step's value faintly, a running mean over it, and points for what was measured
// now and then. The x axis spans the whole training from the start, so a curve also shows how far it is.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { cssColor, onThemeChange } from "../shared/theme.ts";

/** The running mean is over about this share of all steps, within reason. */
const SMOOTHING_SHARE = 0.05;

export interface ChartOptions {
  readonly name: string;
  readonly color: `--${string}`;
  readonly format: (value: number) => string;
  /** Top of the y axis; by the data when left out. */
  readonly max?: number;
}

export class Chart {
  private steps: number[] = [];
  private values: number[] = [];
  private smooth: number[] = [];
  private points: (number | null)[] = [];
  private mean: number | undefined;
  private plannedSteps = 1;
  private readonly plot: uPlot;
  private pending = false;

  constructor(
    private readonly element: HTMLElement,
    private readonly options: ChartOptions,
  ) {
    const { clientWidth, clientHeight } = element;
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis: uPlot.Axis = {
      font,
      stroke: () => cssColor("--muted"),
      grid: { stroke: () => cssColor("--line"), width: 1 },
      ticks: { show: false },
    };
    this.plot = new uPlot(
      {
        width: Math.max(clientWidth, 50),
        height: clientHeight,
        legend: { show: false },
        cursor: { show: false },
        padding: [8, 14, 0, 0],
        scales: {
          x: { time: false, range: () => [0, this.plannedSteps] },
          y: { range: (_plot, _min, max) => [0, options.max ?? (Number.isFinite(max) && max > 0 ? max * 1.05 : 2.5)] },
        },
        axes: [
          {
            ...axis,
            size: 26,
            gap: 4,
            space: 60,
            incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000],
          },
          { ...axis, size: 44, gap: 6, space: 30, values: (_plot, ticks) => ticks.map(options.format) },
        ],
        series: [
          {},
          { stroke: () => fade(cssColor(options.color), 0.28), width: 1, points: { show: false } },
          { stroke: () => cssColor(options.color), width: 2, points: { show: false } },
          {
            stroke: () => cssColor("--ink"),
            width: 1.5,
            spanGaps: true,
            points: { show: true, size: 8, fill: () => cssColor("--ink") },
          },
        ],
      },
      [[], [], [], []],
      element,
    );
    new ResizeObserver(() =>
      this.plot.setSize({ width: Math.max(element.clientWidth, 50), height: element.clientHeight }),
    ).observe(element);
    onThemeChange(() => this.plot.redraw(false));
  }

  /** Makes room for `count` more steps. */
  plan(count: number): void {
    this.plannedSteps = this.steps.length + count;
    this.draw();
  }

  add(value: number): void {
    const smoothing = Math.min(0.25, Math.max(0.02, 1 / (SMOOTHING_SHARE * this.plannedSteps)));
    const weight = Math.max(smoothing, 1 / (this.steps.length + 1)); // all count alike at first
    this.mean = (this.mean ?? 0) * (1 - weight) + value * weight;
    this.steps.push(this.steps.length + 1);
    this.values.push(value);
    this.smooth.push(this.mean);
    this.points.push(null);
    this.plannedSteps = Math.max(this.plannedSteps, this.steps.length);
    this.draw();
  }

  /** Sets a point at the last step. */
  mark(value: number): void {
    if (this.points.length > 0) this.points[this.points.length - 1] = value;
    this.draw();
  }

  /** The running mean. */
  get latest(): number | undefined {
    return this.mean;
  }

  clear(): void {
    [this.steps, this.values, this.smooth, this.points] = [[], [], [], []];
    this.mean = undefined;
    this.plannedSteps = 1;
    this.describe();
    this.draw();
  }

  /** Says in words what the curve shows. */
  describe(): void {
    const { name, format } = this.options;
    const [first, last, count] = [this.smooth[0], this.mean, this.steps.length];
    const told =
      first === undefined || last === undefined
        ? "nothing yet"
        : `from ${format(first)} to ${format(last)} in ${count} steps`;
    this.element.setAttribute("aria-label", `${name} by training step: ${told}`);
  }

  private draw(): void {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.plot.setData([this.steps, this.values, this.smooth, this.points]);
    });
  }
}

function fade(color: string, alpha: number): string {
  return color.replace(/^rgba?\(([^)]+)\)$/, (_all, parts: string) => {
    const [red, green, blue] = parts.split(/[\s,/]+/);
    return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
  });
}
