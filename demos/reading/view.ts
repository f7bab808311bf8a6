// The picture on screen, with what has been found and read painted over it: the text in place of the picture's own, the
// boxes alone, or the detector's map of where text is.

import { cssColor, onThemeChange } from "../shared/theme.ts";
import { cornersOf, heightOf, widthOf, type Box } from "./picture.ts";
import type { HeatMap } from "./protocol.ts";

export type Layer = "text" | "boxes" | "heat";

export interface Line {
  readonly box: Box;
  /** Undefined until it is read. */
  readonly text?: string | undefined;
}

/** How high letters are set in a box, which has room above and below them, and how much of its width they may take. */
const FONT_SHARE = 0.72;
const WIDTH_SHARE = 0.94;

export class View {
  private source: HTMLCanvasElement | undefined;
  private lines: readonly Line[] = [];
  private heat: HTMLCanvasElement | undefined;
  private pointed: number | undefined;
  private layer: Layer = "text";
  private pending = false;

  constructor(private readonly canvas: HTMLCanvasElement) {
    new ResizeObserver(() => this.paintSoon()).observe(canvas);
    onThemeChange(() => this.paintSoon());
  }

  /** Shows another picture, with nothing found in it yet. */
  show(source: HTMLCanvasElement): void {
    this.source = source;
    this.canvas.style.setProperty("--ratio", String(source.width / source.height));
    this.clear();
  }

  clear(): void {
    this.heat = undefined;
    this.pointed = undefined;
    this.setLines([]);
  }

  setLines(lines: readonly Line[]): void {
    this.lines = lines;
    this.paintSoon();
  }

  setHeat({ width, height, data }: HeatMap): void {
    const heat = document.createElement("canvas");
    heat.width = width;
    heat.height = height;
    const pixels = new ImageData(width, height);
    data.forEach((value, i) => {
      // Dark red over orange to a light yellow.
      pixels.data.set([Math.min(255, 90 + 2 * value), Math.max(0, 1.5 * value - 120), value / 3, 0.85 * value], 4 * i);
    });
    heat.getContext("2d")!.putImageData(pixels, 0, 0);
    this.heat = heat;
    this.paintSoon();
  }

  setLayer(layer: Layer): void {
    this.layer = layer;
    this.paintSoon();
  }

  /** Marks one line. */
  point(index: number | undefined): void {
    if (index === this.pointed) return;
    this.pointed = index;
    this.paintSoon();
  }

  /** Paints with the next frame. */
  private paintSoon(): void {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.paint();
    });
  }

  private paint(): void {
    const { canvas, source } = this;
    if (!source || canvas.clientWidth === 0) return;
    canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
    canvas.height = Math.round((canvas.width * source.height) / source.width);
    const context = canvas.getContext("2d")!;
    const scale = canvas.width / source.width;
    context.scale(scale, scale);
    context.imageSmoothingQuality = "high";
    context.drawImage(source, 0, 0);
    if (this.layer === "heat") {
      context.fillStyle = "rgb(0 0 0 / 0.62)";
      context.fillRect(0, 0, source.width, source.height);
      if (this.heat) context.drawImage(this.heat, 0, 0, source.width, source.height);
      return;
    }
    const pixel = devicePixelRatio / scale; // a CSS pixel, in the picture's
    this.lines.forEach((line, index) => {
      if (this.layer === "text" && line.text) paintText(context, line.box, line.text);
      if (this.layer === "boxes" || line.text === undefined || index === this.pointed)
        paintBox(context, line.box, index === this.pointed ? 4 * pixel : 2 * pixel);
    });
  }
}

function trace(context: CanvasRenderingContext2D, box: Box): void {
  context.beginPath();
  for (const { x, y } of cornersOf(box)) context.lineTo(x, y);
  context.closePath();
}

function paintBox(context: CanvasRenderingContext2D, box: Box, lineWidth: number): void {
  trace(context, box);
  context.lineJoin = "round";
  // A light line on a dark one shows on any picture.
  for (const [style, width] of [
    ["rgb(255 255 255 / 0.85)", lineWidth * 2],
    ["#0b7d6c", lineWidth],
  ] as const) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  }
}

/** Lays a label over a box, its text as high as the letters there and no wider than the box. */
function paintText(context: CanvasRenderingContext2D, box: Box, text: string): void {
  trace(context, box);
  context.fillStyle = cssColor("--accent-wash");
  context.fill();
  const [width, height] = [widthOf(box), heightOf(box)];
  const [start] = cornersOf(box);
  context.save();
  context.transform(
    box.along.x / width,
    box.along.y / width,
    box.down.x / height,
    box.down.y / height,
    start.x,
    start.y,
  );
  const setFont = (size: number): void => {
    context.font = `600 ${size}px system-ui, "Open Sans", sans-serif`;
  };
  setFont(FONT_SHARE * height);
  const fit = (WIDTH_SHARE * width) / context.measureText(text).width;
  if (fit < 1) setFont(FONT_SHARE * height * fit);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = cssColor("--ink");
  context.fillText(text, width / 2, height * 0.53);
  context.restore();
}
