// Finding lines of text, as differentiable binarisation does it: the network says of every pixel how probably it belongs
// to the core of a line; pixels above a threshold that touch form components; around each lies a rectangle of least area,
// which is kept if it is probable enough, and grown back to the size of the letters.

import {
  heightOf,
  pointIn,
  turned,
  widthOf,
  type Box,
  type Normalisation,
  type Picture,
  type Point,
} from "./picture.ts";

/** ImageNet's means and deviations. They are those of red, green, blue, but the network learned with blue first. */
export const DETECTION: Normalisation = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };

/** A pixel is text from this probability on. */
const PIXEL_THRESHOLD = 0.3;
/** A box is text from this mean probability on. */
const BOX_THRESHOLD = 0.6;
/** How much a box grows: its area times this over its circumference, on every side. */
const UNCLIP_RATIO = 1.5;
/** Pixels. Narrower components are specks. */
const MIN_SIDE = 3;
/** The network halves a picture five times. */
const MULTIPLE = 32;
/** A box this much higher than wide holds a line that runs down the page. */
const UPRIGHT_RATIO = 1.5;

/** Probabilities of text, pixel by pixel. */
export interface ProbabilityMap {
  readonly width: number;
  readonly height: number;
  readonly data: ArrayLike<number>;
}

/**
 * The size at which a picture is searched: at most `limit` on its longer side, and multiples of 32. A picture longer than
 * two to one, as of a page that was scrolled, gets as many pixels as one of two to one, or its letters would be lost.
 */
export function searchSize({ width, height }: Picture, limit: number): { width: number; height: number } {
  const scale = Math.min(1, limit / Math.min(Math.max(width, height), Math.sqrt(2 * width * height)));
  const fitting = (extent: number): number => Math.max(1, Math.round((extent * scale) / MULTIPLE)) * MULTIPLE;
  return { width: fitting(width), height: fitting(height) };
}

/** The lines of text in a map, in the map's pixels, in reading order. */
export function findBoxes(map: ProbabilityMap): Box[] {
  const boxes: Box[] = [];
  for (const component of components(map, PIXEL_THRESHOLD)) {
    const box = smallestBox(component);
    if (Math.min(widthOf(box), heightOf(box)) < MIN_SIDE || meanInside(map, box) < BOX_THRESHOLD) continue;
    const grown = unclip(box, UNCLIP_RATIO);
    boxes.push(heightOf(grown) > UPRIGHT_RATIO * widthOf(grown) ? turned(grown) : grown);
  }
  return inReadingOrder(boxes);
}

/**
 * Sets of pixels above a threshold that touch at an edge or a corner. Of each row of a component only the two outermost
 * pixels matter for the box around it, so that only their outer corners are kept.
 */
export function components({ width, height, data }: ProbabilityMap, threshold: number): Point[][] {
  const isSeen = new Uint8Array(width * height);
  const found: Point[][] = [];
  for (let start = 0; start < isSeen.length; start++) {
    if (isSeen[start] === 1 || !(data[start]! > threshold)) continue;
    isSeen[start] = 1;
    const rows = new Map<number, { first: number; last: number }>();
    const toVisit = [start];
    for (let pixel = toVisit.pop(); pixel !== undefined; pixel = toVisit.pop()) {
      const [x, y] = [pixel % width, Math.floor(pixel / width)];
      const row = rows.get(y);
      if (!row) rows.set(y, { first: x, last: x });
      else [row.first, row.last] = [Math.min(row.first, x), Math.max(row.last, x)];
      for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++)
        for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
          const next = ny * width + nx;
          if (isSeen[next] === 1 || !(data[next]! > threshold)) continue;
          isSeen[next] = 1;
          toVisit.push(next);
        }
    }
    found.push(
      [...rows].flatMap(([y, { first, last }]) => [
        { x: first, y },
        { x: first, y: y + 1 },
        { x: last + 1, y },
        { x: last + 1, y: y + 1 },
      ]),
    );
  }
  return found;
}

/** The convex hull of points, each corner once, all turns to the same side (Andrew's monotone chain). */
export function convexHull(points: readonly Point[]): Point[] {
  const sorted = [...points].sort((a, b) => a.x - b.x || a.y - b.y);
  const half = (chain: readonly Point[]): Point[] => {
    const hull: Point[] = [];
    for (const point of chain) {
      while (hull.length >= 2 && cross(hull.at(-2)!, hull.at(-1)!, point) <= 0) hull.pop();
      hull.push(point);
    }
    hull.pop(); // the other half begins with it
    return hull;
  };
  return [...half(sorted), ...half(sorted.reverse())];
}

/** Positive where the way from `a` over `b` to `c` turns from x towards y. */
function cross(a: Point, b: Point, c: Point): number {
  return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

/** The rectangle of least area around points. One of its sides lies on an edge of their hull, so each edge is tried. */
export function smallestBox(points: readonly Point[]): Box {
  const hull = convexHull(points);
  let best: Box | undefined;
  let leastArea = Infinity;
  hull.forEach((from, i) => {
    const to = hull[(i + 1) % hull.length]!;
    const direction = rightwards(to.x - from.x, to.y - from.y);
    const [alongFrom, alongTo] = extent(hull, direction);
    const across = { x: -direction.y, y: direction.x };
    const [downFrom, downTo] = extent(hull, across);
    const area = (alongTo - alongFrom) * (downTo - downFrom);
    if (area >= leastArea) return;
    leastArea = area;
    const [u, v] = [(alongFrom + alongTo) / 2, (downFrom + downTo) / 2];
    best = {
      centre: { x: u * direction.x + v * across.x, y: u * direction.y + v * across.y },
      along: { x: direction.x * (alongTo - alongFrom), y: direction.y * (alongTo - alongFrom) },
      down: { x: across.x * (downTo - downFrom), y: across.y * (downTo - downFrom) },
    };
  });
  if (!best) throw new Error(`${points.length} points have no box around them`);
  return best;
}

/** The unit vector along an edge or across it, whichever points right rather than up or down. */
function rightwards(x: number, y: number): Point {
  const length = Math.hypot(x, y);
  const [dx, dy] = Math.abs(x) >= Math.abs(y) ? [x, y] : [-y, x];
  const sign = dx < 0 ? -1 : 1;
  return { x: (sign * dx) / length, y: (sign * dy) / length };
}

/** How far points reach along a direction. */
function extent(points: readonly Point[], { x, y }: Point): readonly [number, number] {
  const at = points.map((point) => point.x * x + point.y * y);
  return [Math.min(...at), Math.max(...at)];
}

/** The mean of the map's pixels whose centres lie in a box; 0 where there are none. */
export function meanInside({ width, height, data }: ProbabilityMap, box: Box): number {
  const corners = [0, 1].flatMap((u) => [0, 1].map((v) => pointIn(box, u, v)));
  const [left, right] = extent(corners, { x: 1, y: 0 });
  const [top, bottom] = extent(corners, { x: 0, y: 1 });
  const [w, h] = [widthOf(box), heightOf(box)];
  let [sum, count] = [0, 0];
  for (let y = Math.max(0, Math.floor(top)); y < Math.min(height, bottom); y++)
    for (let x = Math.max(0, Math.floor(left)); x < Math.min(width, right); x++) {
      const [dx, dy] = [x + 0.5 - box.centre.x, y + 0.5 - box.centre.y];
      const u = (dx * box.along.x + dy * box.along.y) / w;
      const v = (dx * box.down.x + dy * box.down.y) / h;
      if (2 * Math.abs(u) > w || 2 * Math.abs(v) > h) continue;
      sum += data[y * width + x]!;
      count++;
    }
  return count === 0 ? 0 : sum / count;
}

/** The network is taught the cores of lines, shrunk so that neighbours stay apart; this grows one back on every side. */
export function unclip(box: Box, ratio: number): Box {
  const [width, height] = [widthOf(box), heightOf(box)];
  const distance = (width * height * ratio) / (2 * (width + height));
  const longer = ({ x, y }: Point, length: number): Point => {
    const factor = (length + 2 * distance) / length;
    return { x: x * factor, y: y * factor };
  };
  return { centre: box.centre, along: longer(box.along, width), down: longer(box.down, height) };
}

/** From top to bottom, and from left to right what stands in one row. */
export function inReadingOrder(boxes: readonly Box[]): Box[] {
  const rows: Box[][] = [];
  for (const box of [...boxes].sort((a, b) => a.centre.y - b.centre.y)) {
    const last = rows.at(-1)?.at(-1);
    const isSameRow = last && box.centre.y - last.centre.y < Math.min(heightOnPage(box), heightOnPage(last)) / 2;
    if (isSameRow) rows.at(-1)!.push(box);
    else rows.push([box]);
  }
  return rows.flatMap((row) => row.sort((a, b) => a.centre.x - b.centre.x));
}

/** How high the letters stand, or, of a line that runs down the page, how far down it runs. */
const heightOnPage = ({ along, down }: Box): number => Math.max(Math.abs(along.y), Math.abs(down.y));
