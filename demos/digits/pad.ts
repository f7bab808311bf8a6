// The drawing pad: a canvas for mouse, touch and pen, and for the keyboard (arrow keys move the pen, space puts it down or
// lifts it). Ink is kept in a canvas of its own, which knows nothing of themes; the one on screen is painted from it.

import { cssColor, onThemeChange } from "../shared/theme.ts";
import { normalise, SIDE } from "./normalise.ts";

const INK_SIDE = 560;
const BRUSH = 46;
const KEY_STEP = INK_SIDE / SIDE;

const directions: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

interface Point {
  readonly x: number;
  readonly y: number;
}

export class Pad {
  /** Called with every change; undefined for an empty pad. */
  onChange: (picture: Float32Array | undefined) => void = () => undefined;
  /** Called with short messages for people who cannot see the pad. */
  onMessage: (message: string) => void = () => undefined;

  private readonly screen: CanvasRenderingContext2D;
  private readonly ink: CanvasRenderingContext2D;
  private last: Point | undefined; // of the stroke under way
  private pen: Point = { x: INK_SIDE / 2, y: INK_SIDE / 4 };
  private penDown = false;
  private readonly held = new Set<string>();
  private loaded: Float32Array | undefined; // a picture shown as it is, until something is drawn on it
  private pending = false;

  constructor(private readonly canvas: HTMLCanvasElement) {
    canvas.width = canvas.height = INK_SIDE;
    this.screen = canvas.getContext("2d")!;
    const paper = document.createElement("canvas");
    paper.width = paper.height = INK_SIDE;
    this.ink = paper.getContext("2d", { willReadFrequently: true })!;
    canvas.addEventListener("pointerdown", (event) => this.pointerDown(event));
    canvas.addEventListener("pointermove", (event) => this.pointerMove(event));
    for (const type of ["pointerup", "pointercancel"] as const)
      canvas.addEventListener(type, () => (this.last = undefined));
    canvas.addEventListener("keydown", (event) => this.keyDown(event));
    canvas.addEventListener("keyup", (event) => this.held.delete(event.key));
    canvas.addEventListener("focus", () => this.paint());
    canvas.addEventListener("blur", () => {
      this.held.clear();
      this.penDown = false;
      this.paint();
    });
    onThemeChange(() => this.paint());
    this.paint();
  }

  clear(): void {
    this.ink.clearRect(0, 0, INK_SIDE, INK_SIDE);
    this.loaded = undefined;
    this.penDown = false;
    this.changed();
  }

  /** Shows a picture of 28 × 28 pixels; the network gets exactly that one. */
  load(picture: Float32Array): void {
    const small = document.createElement("canvas");
    small.width = small.height = SIDE;
    const pixels = new ImageData(SIDE, SIDE);
    picture.forEach((value, i) => (pixels.data[4 * i + 3] = Math.round(255 * value)));
    small.getContext("2d")!.putImageData(pixels, 0, 0);
    this.ink.clearRect(0, 0, INK_SIDE, INK_SIDE);
    this.ink.imageSmoothingQuality = "high";
    this.ink.drawImage(small, 0, 0, INK_SIDE, INK_SIDE);
    this.loaded = picture;
    this.changed();
  }

  private pointerDown(event: PointerEvent): void {
    if (!event.isPrimary || event.button !== 0) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.at(event);
    this.stroke(this.last, this.last);
  }

  private pointerMove(event: PointerEvent): void {
    if (!this.last || !event.isPrimary) return;
    const between = event.getCoalescedEvents();
    for (const each of between.length > 0 ? between : [event]) {
      const point = this.at(each);
      this.stroke(this.last, point);
      this.last = point;
    }
  }

  private keyDown(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in directions) {
      this.held.add(event.key);
      const moves = [...this.held].map((key) => directions[key]!);
      const clamp = (value: number): number => Math.min(INK_SIDE - BRUSH / 2, Math.max(BRUSH / 2, value));
      const to = {
        x: clamp(this.pen.x + KEY_STEP * moves.reduce((sum, [x]) => sum + x, 0)),
        y: clamp(this.pen.y + KEY_STEP * moves.reduce((sum, [, y]) => sum + y, 0)),
      };
      if (this.penDown) this.stroke(this.pen, to);
      this.pen = to;
      this.paint();
    } else if (event.key === " " || event.key === "Enter") {
      if (!event.repeat) this.togglePen();
    } else if (event.key === "Backspace" || event.key === "Delete") {
      this.clear();
      this.onMessage("Cleared");
    } else {
      return;
    }
    event.preventDefault();
  }

  private togglePen(): void {
    this.penDown = !this.penDown;
    this.onMessage(this.penDown ? "Pen down" : "Pen up");
    if (this.penDown) this.stroke(this.pen, this.pen);
    this.paint();
  }

  private at({ clientX, clientY }: MouseEvent): Point {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return { x: ((clientX - left) / width) * INK_SIDE, y: ((clientY - top) / height) * INK_SIDE };
  }

  private stroke(from: Point, to: Point): void {
    const { ink } = this;
    ink.lineCap = ink.lineJoin = "round";
    ink.lineWidth = BRUSH;
    ink.strokeStyle = "#000";
    ink.beginPath();
    ink.moveTo(from.x, from.y);
    ink.lineTo(to.x, to.y + (from.x === to.x && from.y === to.y ? 0.01 : 0)); // a dot is drawn, too
    ink.stroke();
    this.loaded = undefined;
    this.pen = to;
    this.changed();
  }

  /** Tells of changes once a frame, however many there were. */
  private changed(): void {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.paint();
      this.onChange(this.picture());
    });
  }

  private picture(): Float32Array | undefined {
    if (this.loaded) return this.loaded;
    const { data } = this.ink.getImageData(0, 0, INK_SIDE, INK_SIDE);
    const coverage = new Uint8ClampedArray(INK_SIDE * INK_SIDE);
    for (let i = 0; i < coverage.length; i++) coverage[i] = data[4 * i + 3]!;
    return normalise(coverage, INK_SIDE);
  }

  private paint(): void {
    const { screen } = this;
    screen.globalCompositeOperation = "source-over";
    screen.clearRect(0, 0, INK_SIDE, INK_SIDE);
    screen.drawImage(this.ink.canvas, 0, 0);
    screen.globalCompositeOperation = "source-in";
    screen.fillStyle = cssColor("--ink");
    screen.fillRect(0, 0, INK_SIDE, INK_SIDE);
    if (!this.canvas.matches(":focus-visible")) return;
    screen.globalCompositeOperation = "source-over";
    screen.beginPath();
    screen.arc(this.pen.x, this.pen.y, BRUSH / 2 + 4, 0, 2 * Math.PI);
    screen.lineWidth = this.penDown ? 8 : 4;
    screen.strokeStyle = cssColor(this.penDown ? "--warm" : "--accent");
    screen.stroke();
  }
}
