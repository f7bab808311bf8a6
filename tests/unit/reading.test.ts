// The reading demo's arithmetic: from a probability map to boxes, from a box to the pixels a network sees, from
// probabilities to text.

import { describe, expect, test } from "vitest";
import {
  components,
  convexHull,
  findBoxes,
  inReadingOrder,
  meanInside,
  searchSize,
  smallestBox,
  unclip,
  type ProbabilityMap,
} from "../../demos/reading/detection.ts";
import {
  cornersOf,
  cutOut,
  heightOf,
  scaled,
  turned,
  upsideDown,
  wholeOf,
  widthOf,
  type Box,
  type Picture,
} from "../../demos/reading/picture.ts";
import { alphabet, decode, lineWidths } from "../../demos/reading/recognition.ts";

/** A map of `#` for 0.9 and anything else for 0. */
function mapOf(...rows: string[]): ProbabilityMap {
  const data = Array.from(rows.join(""), (mark) => (mark === "#" ? 0.9 : 0));
  return { width: rows[0]!.length, height: rows.length, data };
}

/** A map with a solid box in it. */
function mapWith(width: number, height: number, boxes: readonly Box[]): ProbabilityMap {
  const data = new Float32Array(width * height);
  for (const box of boxes)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const [dx, dy] = [x + 0.5 - box.centre.x, y + 0.5 - box.centre.y];
        const u = (dx * box.along.x + dy * box.along.y) / widthOf(box) ** 2;
        const v = (dx * box.down.x + dy * box.down.y) / heightOf(box) ** 2;
        if (Math.abs(u) <= 0.5 && Math.abs(v) <= 0.5) data[y * width + x] = 0.9;
      }
  return { width, height, data };
}

/** A box by its centre and size, turned clockwise by an angle. */
function boxAt(x: number, y: number, width: number, height: number, degrees = 0): Box {
  const angle = (degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return {
    centre: { x, y },
    along: { x: width * cos, y: width * sin },
    down: { x: -height * sin, y: height * cos },
  };
}

const degreesOf = ({ along }: Box): number => (Math.atan2(along.y, along.x) * 180) / Math.PI;

describe("finding lines", () => {
  test("pixels that touch at an edge or a corner are one component", () => {
    const found = components(
      mapOf(
        "##...#", //
        "..#...",
        "......",
        "#....#",
        "##..##",
      ),
      0.3,
    );
    expect(found).toHaveLength(4);
    expect(convexHull(found[0]!)).toContainEqual({ x: 3, y: 2 }); // the outer corner of its last pixel
    expect(convexHull(found[1]!)).toHaveLength(4);
  });

  test("a threshold is to be exceeded, and nothing leads round the map's edge", () => {
    const data = [0.3, 0, 0.31, 0.31, 0, 0];
    expect(components({ width: 3, height: 2, data }, 0.3)).toHaveLength(2);
    expect(components({ width: 3, height: 2, data: new Float32Array(6) }, 0.3)).toEqual([]);
  });

  test("a hull has only corners", () => {
    const points = [0, 1, 2].flatMap((x) => [0, 1, 2].map((y) => ({ x, y })));
    expect(convexHull(points)).toEqual([
      { x: 0, y: 0 },
      { x: 2, y: 0 },
      { x: 2, y: 2 },
      { x: 0, y: 2 },
    ]);
  });

  test.each([0, 8, 30, -20, -44])("the smallest box around a rectangle at %d° is that rectangle", (degrees) => {
    const box = smallestBox(cornersOf(boxAt(50, 40, 60, 12, degrees)));
    expect(box.centre.x).toBeCloseTo(50);
    expect(box.centre.y).toBeCloseTo(40);
    expect(degreesOf(box)).toBeCloseTo(degrees);
    expect(widthOf(box)).toBeCloseTo(60);
    expect(heightOf(box)).toBeCloseTo(12);
  });

  test("a box grows by its area over its circumference on every side", () => {
    const grown = unclip(boxAt(50, 40, 60, 20, 10), 1.5);
    const distance = (60 * 20 * 1.5) / (2 * (60 + 20));
    expect(widthOf(grown)).toBeCloseTo(60 + 2 * distance);
    expect(heightOf(grown)).toBeCloseTo(20 + 2 * distance);
    expect(degreesOf(grown)).toBeCloseTo(10);
    expect(grown.centre).toEqual({ x: 50, y: 40 });
  });

  test("the mean inside a box leaves out what is around it", () => {
    const box = boxAt(32, 32, 40, 10, 25);
    const map = mapWith(64, 64, [box]);
    expect(meanInside(map, box)).toBeCloseTo(0.9);
    expect(meanInside(map, boxAt(32, 32, 64, 64))).toBeCloseTo((0.9 * 400) / 4096, 1);
    expect(meanInside(map, boxAt(-20, -20, 10, 10))).toBe(0);
  });

  test("boxes of lines, straight and tilted, come in reading order; specks and faint ones do not", () => {
    const lines = [boxAt(30, 12, 40, 8), boxAt(90, 14, 40, 8), boxAt(60, 60, 80, 10, -12)];
    const map = mapWith(128, 96, [lines[2]!, lines[1]!, lines[0]!, boxAt(10, 80, 2, 2)]);
    const faint = mapWith(128, 96, [boxAt(100, 85, 30, 8)]).data;
    const data = Float32Array.from({ length: 128 * 96 }, (_, i) => Math.max(map.data[i]!, 0.5 * faint[i]!));
    const boxes = findBoxes({ width: 128, height: 96, data });
    expect(boxes).toHaveLength(3);
    boxes.forEach((box, i) => {
      const expected = unclip(lines[i]!, 1.5);
      expect(Math.hypot(box.centre.x - expected.centre.x, box.centre.y - expected.centre.y)).toBeLessThan(1);
      expect(Math.abs(widthOf(box) - widthOf(expected))).toBeLessThan(4);
      expect(Math.abs(heightOf(box) - heightOf(expected))).toBeLessThan(4);
      expect(Math.abs(degreesOf(box) - degreesOf(expected))).toBeLessThan(2);
    });
  });

  test("a line that runs down the page is turned", () => {
    const [box] = findBoxes(mapWith(64, 96, [boxAt(32, 48, 10, 60)]));
    expect(degreesOf(box!)).toBeCloseTo(90);
    expect(widthOf(box!)).toBeGreaterThan(heightOf(box!));
  });

  test("rows are read from left to right, whatever their order and their small differences in height", () => {
    const [a, b, c, d] = [boxAt(20, 10, 30, 10), boxAt(60, 8, 30, 10), boxAt(20, 30, 30, 10), boxAt(60, 31, 30, 10)];
    expect(inReadingOrder([d, b, a, c])).toEqual([a, b, c, d]);
    expect(inReadingOrder([])).toEqual([]);
  });

  test("pictures are searched at multiples of 32, long ones too", () => {
    const picture = (width: number, height: number): Picture => ({ width, height, data: new Uint8ClampedArray() });
    expect(searchSize(picture(1920, 1080), 640)).toEqual({ width: 640, height: 352 });
    expect(searchSize(picture(100, 40), 640)).toEqual({ width: 96, height: 32 });
    expect(searchSize(picture(2560, 1280), 640)).toEqual({ width: 640, height: 320 });
    expect(searchSize(picture(800, 6400), 640)).toEqual({ width: 160, height: 1280 }); // 640 × 320 pixels as well
  });
});

describe("cutting out", () => {
  const plain = { mean: [0, 0, 0], deviation: [1, 1, 1] } as const;
  /** Red counts columns, green counts rows, blue is 255. */
  const ramp = (width: number, height: number): Picture => ({
    width,
    height,
    data: Uint8ClampedArray.from({ length: 4 * width * height }, (_, i) => {
      const pixel = Math.floor(i / 4);
      return [pixel % width, Math.floor(pixel / width), 255, 255][i % 4]!;
    }),
  });
  const rounded = (values: Float32Array): number[] => Array.from(values, (value) => Math.round(255 * value * 4) / 4);

  test("the whole at its own size is the picture, blue first, with padding at the right", () => {
    const cut = rounded(cutOut(ramp(3, 2), wholeOf({ width: 3, height: 2 }), 3, 2, plain, 4));
    expect(cut.slice(0, 8)).toEqual([255, 255, 255, 0, 255, 255, 255, 0]);
    expect(cut.slice(8, 16)).toEqual([0, 0, 0, 0, 1, 1, 1, 0]);
    expect(cut.slice(16)).toEqual([0, 1, 2, 0, 0, 1, 2, 0]);
  });

  test("a smaller one averages, a larger one interpolates", () => {
    const half = rounded(cutOut(ramp(8, 2), wholeOf({ width: 8, height: 2 }), 4, 1, plain));
    expect(half.slice(8)).toEqual([0.5, 2.5, 4.5, 6.5]);
    const double = rounded(cutOut(ramp(2, 1), wholeOf({ width: 2, height: 1 }), 4, 1, plain));
    expect(double.slice(8)).toEqual([0, 0.25, 0.75, 1]);
  });

  test("boxes are turned upright", () => {
    const picture = ramp(9, 9);
    const box = boxAt(4.5, 4.5, 3, 1);
    expect(rounded(cutOut(picture, box, 3, 1, plain)).slice(6)).toEqual([3, 4, 5]);
    expect(rounded(cutOut(picture, upsideDown(box), 3, 1, plain)).slice(6)).toEqual([5, 4, 3]);
    const down = turned(boxAt(4.5, 4.5, 1, 3));
    expect(rounded(cutOut(picture, down, 3, 1, plain)).slice(3, 6)).toEqual([3, 4, 5]);
    expect(widthOf(scaled(box, 2, 1))).toBe(6);
  });

  test("values are normalised", () => {
    const cut = cutOut(ramp(1, 1), wholeOf({ width: 1, height: 1 }), 1, 1, {
      mean: [0.5, 0.5, 0.5],
      deviation: [0.5, 0.5, 0.25],
    });
    expect([...cut]).toEqual([1, -1, -2]);
  });
});

describe("reading a line", () => {
  const characters = alphabet("a\nb\nc\n");
  const step = (best: number, probability = 0.9): number[] =>
    characters.map((_, i) => (i === best ? probability : (1 - probability) / (characters.length - 1)));

  test("the alphabet begins with the blank and ends with the space", () => {
    expect(characters).toEqual(["", "a", "b", "c", " "]);
  });

  test("repeats are one character unless a blank stands between them", () => {
    const probabilities = [1, 1, 0, 1, 2, 2, 4, 0, 4, 3].flatMap((best) => step(best));
    expect(decode(probabilities, characters).text).toBe("aab  c");
  });

  test("confidence is the mean over the characters read, blanks left out", () => {
    const { text, confidence } = decode(
      [...step(0, 0.3), ...step(1, 0.8), ...step(1, 0.5), ...step(2, 0.6)],
      characters,
    );
    expect(text).toBe("ab");
    expect(confidence).toBeCloseTo(0.7);
    expect(decode(step(0), characters)).toEqual({ text: "", confidence: 0 });
  });

  test("probabilities that do not fit the alphabet are refused", () => {
    expect(() => decode([1, 2, 3], characters)).toThrow(/3 probabilities.*5 characters/);
  });

  test("widths keep a line's shape and come in steps of 64", () => {
    expect(lineWidths(boxAt(0, 0, 100, 48))).toEqual({ width: 100, paddedWidth: 128 });
    expect(lineWidths(boxAt(0, 0, 200, 24, 30))).toEqual({ width: 400, paddedWidth: 448 });
    expect(lineWidths(boxAt(0, 0, 9000, 24))).toEqual({ width: 1024, paddedWidth: 1024 });
  });
});
