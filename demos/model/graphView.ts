// The graph on a canvas: only what is in sight is painted, so a thousand nodes move as easily as ten. Dragging, the wheel,
// two fingers and the keyboard move and zoom; a strip at the right shows where one is.

import { Painted, color, sans } from "./canvas.ts";
import type { Box, BoxKind, Drawing } from "./protocol.ts";

const BOX_HEIGHT = 42;
const MAP_WIDTH = 44; // the strip
const MAX_SCALE = 2.5;
const READABLE_SCALE = 0.35; // below it text is left out
const MARGIN = 24;
const CLICK_PIXELS = 4;

type Colors = Record<BoxKind, { readonly fill: string; readonly stroke: string }> & {
  readonly [K in "ink" | "muted" | "edge" | "focus" | "accent"]: string;
};

interface Point {
  readonly x: number;
  readonly y: number;
}

export class GraphView extends Painted {
  onSelect: (box: number) => void = () => undefined;
  private drawing: Drawing = { boxes: [], edges: [], width: 0, height: 0 };
  private scale = 1;
  /** Where the drawing's corner is, in CSS pixels. */
  private x = 0;
  private y = 0;
  private selected: number | undefined;
  private found: ReadonlySet<number> = new Set();
  private readonly pointers = new Map<number, Point>();
  private moved = 0;
  private onMap = false;
  /** Someone has moved it; else it may be placed anew when the room changes. */
  private touched = false;

  constructor(canvas: HTMLCanvasElement) {
    super(canvas);
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const type of ["pointerup", "pointercancel"] as const)
      canvas.addEventListener(type, (event) => this.up(event));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (this.key(event.key)) event.preventDefault();
    });
  }

  show(drawing: Drawing): void {
    this.drawing = drawing;
    this.selected = undefined;
    this.found = new Set();
    this.touched = false;
    this.start();
    this.canvas.setAttribute("aria-label", `Graph of the model: ${drawing.boxes.length} boxes`);
  }

  /** Marks boxes and brings the one at `current` into sight. */
  mark(found: readonly number[], current?: number): void {
    this.found = new Set(found);
    if (current !== undefined) this.select(current);
    this.repaint();
  }

  select(box: number): void {
    this.selected = box;
    const { x, y, width } = this.drawing.boxes[box]!;
    const left = this.x + (x - width / 2) * this.scale;
    const right = this.x + (x + width / 2) * this.scale;
    const middle = this.y + y * this.scale;
    if (left < MARGIN || right > this.viewWidth - MARGIN) this.x = this.viewWidth / 2 - x * this.scale;
    if (middle < 2 * MARGIN || middle > this.height - 2 * MARGIN) this.y = this.height / 2 - y * this.scale;
    this.keepInSight();
    this.onSelect(box);
  }

  /** All of it. */
  fit(): void {
    const { width, height } = this.drawing;
    this.scale = Math.min(1, (this.width - 2 * MARGIN) / width, (this.height - 2 * MARGIN) / height);
    this.x = (this.viewWidth - width * this.scale) / 2;
    this.y = (this.height - height * this.scale) / 2;
    this.repaint();
  }

  zoom(factor: number, at: Point = { x: this.viewWidth / 2, y: this.height / 2 }): void {
    const scale = Math.min(MAX_SCALE, Math.max(this.leastScale, this.scale * factor));
    this.x = at.x - ((at.x - this.x) * scale) / this.scale;
    this.y = at.y - ((at.y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.keepInSight();
  }

  protected override resized(widthBefore: number, heightBefore: number): void {
    if (widthBefore === 0 || !this.touched) {
      this.start();
      return;
    }
    // What was in the middle stays there.
    this.x += (this.width - widthBefore) / 2;
    this.y += (this.height - heightBefore) / 2;
    this.keepInSight();
  }

  protected override paint(context: CanvasRenderingContext2D): void {
    const colors = readColors();
    const { scale, x, y } = this;
    const { boxes, edges } = this.drawing;
    context.save();
    context.translate(x, y);
    context.scale(scale, scale);
    const sight = {
      left: -x / scale,
      right: (this.width - x) / scale,
      top: -y / scale,
      bottom: (this.height - y) / scale,
    };
    context.lineWidth = Math.max(1.4, 0.7 / scale);
    const paintEdge = (points: readonly number[]): void => {
      const [first, last] = [points[1]!, points.at(-1)!];
      if (Math.max(first, last) < sight.top || Math.min(first, last) > sight.bottom) return;
      context.beginPath();
      trace(context, points);
      context.stroke();
    };
    context.strokeStyle = colors.edge;
    for (const { points } of edges) paintEdge(points);
    context.strokeStyle = colors.accent;
    context.lineWidth = Math.max(2.4, 1.5 / scale);
    for (const { from, to, points } of edges) if (from === this.selected || to === this.selected) paintEdge(points);

    const withText = scale >= READABLE_SCALE;
    const boxHeight = Math.max(BOX_HEIGHT, 2 / scale); // from afar a box is a dash
    const [bold, light] = [sans(13, 600), sans(11.5)];
    context.textAlign = "center";
    context.textBaseline = "middle";
    boxes.forEach((box, i) => {
      const left = box.x - box.width / 2;
      const top = box.y - boxHeight / 2;
      if (left > sight.right || left + box.width < sight.left || top > sight.bottom || top + boxHeight < sight.top)
        return;
      const { fill, stroke } = colors[box.kind];
      const isSelected = i === this.selected;
      context.beginPath();
      context.roundRect(left, top, box.width, boxHeight, 7);
      context.fillStyle = withText ? fill : stroke;
      context.fill();
      context.lineWidth = (isSelected ? 3.5 : this.found.has(i) ? 2.5 : 1.3) / Math.min(1, scale / READABLE_SCALE);
      context.strokeStyle = isSelected ? colors.focus : this.found.has(i) ? colors.accent : stroke;
      context.stroke();
      if (!withText) return;
      context.font = bold;
      context.fillStyle = colors.ink;
      context.fillText(box.label, box.x, box.y - (box.detail ? 7.5 : -0.5));
      if (!box.detail) return;
      context.font = light;
      context.fillStyle = colors.muted;
      context.fillText(box.detail, box.x, box.y + 9.5);
    });
    context.restore();
    this.paintMap(context, colors);
  }

  // ---- the strip

  private get hasMap(): boolean {
    return this.drawing.height * this.scale > 2 * this.height;
  }

  private get viewWidth(): number {
    return this.width - (this.hasMap ? MAP_WIDTH : 0);
  }

  private paintMap(context: CanvasRenderingContext2D, colors: Colors): void {
    if (!this.hasMap) return;
    const { boxes, width, height } = this.drawing;
    const left = this.width - MAP_WIDTH;
    context.fillStyle = colors.movement.fill;
    context.fillRect(left, 0, MAP_WIDTH, this.height);
    const down = this.height / height;
    const across = (MAP_WIDTH - 8) / width;
    const middle = left + MAP_WIDTH / 2;
    const paintBox = (box: Box, fill: string): void => {
      context.fillStyle = fill;
      const wide = Math.max(4, box.width * across);
      context.fillRect(
        middle + (box.x - width / 2) * across - wide / 2,
        box.y * down - 1,
        wide,
        Math.max(1.5, down * 40),
      );
    };
    for (const box of boxes)
      paintBox(
        box,
        box.kind === "heavy"
          ? colors.accent
          : box.kind === "input" || box.kind === "output"
            ? colors.input.stroke
            : colors.edge,
      );
    for (const i of this.found) paintBox(boxes[i]!, colors.focus);
    const top = (-this.y / this.scale) * down;
    const tall = (this.height / this.scale) * down;
    context.strokeStyle = colors.ink;
    context.lineWidth = 1.5;
    context.beginPath();
    context.roundRect(left + 2, Math.max(1, top), MAP_WIDTH - 4, Math.min(this.height - 2, Math.max(8, tall)), 4);
    context.stroke();
  }

  private jump(at: Point): void {
    this.y = this.height / 2 - (at.y / this.height) * this.drawing.height * this.scale;
    this.keepInSight();
  }

  // ---- moving about

  /** All of it where that can be read; else its beginning. */
  private start(): void {
    const { width, height, boxes } = this.drawing;
    if (this.width === 0 || boxes.length === 0) return;
    this.scale = 1;
    const wide = Math.min(1, (this.viewWidth - 2 * MARGIN) / width);
    const all = Math.min(wide, (this.height - 2 * MARGIN) / height);
    if (all >= 0.75) this.fit();
    else {
      this.scale = Math.max(wide, 0.75);
      const first = boxes.reduce((top, box) => (box.y < top.y ? box : top));
      this.x =
        width * this.scale <= this.viewWidth
          ? (this.viewWidth - width * this.scale) / 2
          : this.viewWidth / 2 - first.x * this.scale;
      this.y = MARGIN / 2;
    }
    this.repaint();
  }

  private get leastScale(): number {
    const { width, height } = this.drawing;
    return Math.min(0.5, (this.width - 2 * MARGIN) / width, (this.height - 2 * MARGIN) / height);
  }

  private keepInSight(): void {
    this.touched = true;
    const keep = (at: number, size: number, room: number): number =>
      size <= room ? Math.min(Math.max(at, 0), room - size) : Math.min(Math.max(at, room - size - MARGIN), MARGIN);
    this.x = keep(this.x, this.drawing.width * this.scale, this.viewWidth);
    this.y = keep(this.y, this.drawing.height * this.scale, this.height);
    this.repaint();
  }

  private down(event: PointerEvent): void {
    this.canvas.setPointerCapture(event.pointerId);
    const at = { x: event.offsetX, y: event.offsetY };
    this.pointers.set(event.pointerId, at);
    if (this.pointers.size === 1) this.moved = 0;
    this.onMap = this.hasMap && at.x > this.viewWidth;
    if (this.onMap) this.jump(at);
    this.canvas.classList.add("dragging");
  }

  private move(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const at = { x: event.offsetX, y: event.offsetY };
    this.pointers.set(event.pointerId, at);
    if (this.onMap) {
      this.jump(at);
      return;
    }
    this.moved += Math.hypot(at.x - before.x, at.y - before.y);
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const spread = (point: Point): number => Math.hypot(point.x - other.x, point.y - other.y);
      this.zoom(spread(at) / Math.max(1, spread(before)), { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 });
    }
    const share = other ? 0.5 : 1; // both fingers move it together
    this.x += share * (at.x - before.x);
    this.y += share * (at.y - before.y);
    this.keepInSight();
  }

  private up(event: PointerEvent): void {
    this.pointers.delete(event.pointerId);
    this.canvas.classList.remove("dragging");
    if (event.type === "pointercancel" || this.onMap || this.moved > CLICK_PIXELS) return;
    const x = (event.offsetX - this.x) / this.scale;
    const y = (event.offsetY - this.y) / this.scale;
    const hit = this.drawing.boxes.findIndex(
      (box) => Math.abs(box.x - x) <= box.width / 2 && Math.abs(box.y - y) <= BOX_HEIGHT / 2,
    );
    if (hit >= 0) this.select(hit);
  }

  /** The wheel moves, with Ctrl it zooms; at an end it moves the page. */
  private wheel(event: WheelEvent): void {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), { x: event.offsetX, y: event.offsetY });
      return;
    }
    const { x, y } = this;
    this.x -= event.deltaX;
    this.y -= event.deltaY;
    this.keepInSight();
    if (this.x !== x || this.y !== y) event.preventDefault();
  }

  /** True for keys that mean something here. */
  private key(key: string): boolean {
    if (key === "+" || key === "=") this.zoom(1.25);
    else if (key === "-") this.zoom(0.8);
    else if (key === "0") this.fit();
    else if (key.startsWith("Arrow")) {
      const next = this.neighbour(key);
      if (next !== undefined) this.select(next);
    } else return false;
    return true;
  }

  /** Along an edge, or the next one beside. */
  private neighbour(key: string): number | undefined {
    const { boxes, edges } = this.drawing;
    if (this.selected === undefined) return boxes.length > 0 ? 0 : undefined;
    const here = boxes[this.selected]!;
    if (key === "ArrowDown") return edges.find(({ from }) => from === this.selected)?.to;
    if (key === "ArrowUp") return edges.find(({ to }) => to === this.selected)?.from;
    const direction = key === "ArrowRight" ? 1 : -1;
    const distance = (i: number): number => direction * (boxes[i]!.x - here.x);
    return boxes
      .flatMap((box, i) => (Math.abs(box.y - here.y) < 1 && distance(i) > 0 ? [i] : []))
      .sort((a, b) => distance(a) - distance(b))[0];
  }
}

/** A curve through the points, upright at each; ends at the boxes' edges. */
function trace(context: CanvasRenderingContext2D, points: readonly number[]): void {
  const half = BOX_HEIGHT / 2;
  let [x, y] = [points[0]!, points[1]! + half];
  context.moveTo(x, y);
  for (let i = 2; i < points.length; i += 2) {
    const nextX = points[i]!;
    const nextY = points[i + 1]! - (i === points.length - 2 ? half : 0);
    const middle = (y + nextY) / 2;
    context.bezierCurveTo(x, middle, nextX, middle, nextX, nextY);
    [x, y] = [nextX, nextY];
  }
}

function readColors(): Colors {
  const [accent, edge, ends] = [color("--accent"), color("--line-strong"), color("--warm")];
  const surface = { fill: color("--surface"), stroke: edge };
  const end = { fill: color("--warm-wash"), stroke: ends };
  return {
    ink: color("--ink"),
    muted: color("--muted"),
    edge,
    accent,
    focus: color("--focus"),
    heavy: { fill: color("--accent-wash"), stroke: accent },
    pointwise: surface,
    other: surface,
    movement: { fill: color("--sunken"), stroke: edge },
    input: end,
    output: end,
  };
}
