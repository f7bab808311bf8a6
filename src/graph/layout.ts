// Places for the nodes of a graph, in layers from top to bottom, as Sugiyama's method has it: every node below all it
// reads from, long edges cut into pieces by placeholders, layers reordered by the mean place of neighbours so that few
// edges cross, and then shifted sideways so that edges run straight. https://doi.org/10.1109/TSMC.1981.4308636

/** A place in the drawing; x and y are centres, in pixels. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

/** A drawing of a graph: where its nodes and edges are, in pixels. */
export interface Layout {
  readonly nodes: readonly Place[];
  /** For every edge the points it passes through, its ends included. */
  readonly edges: readonly (readonly Place[])[];
  readonly width: number;
  readonly height: number;
}

const LAYER_HEIGHT = 76;
const GAP = 24;
const PLACEHOLDER_WIDTH = 12;
const SWEEPS = 6;

interface Item {
  readonly width: number;
  readonly layer: number;
  readonly above: Item[];
  readonly below: Item[];
  order: number;
  x: number;
}

/**
 * Lays out `widths.length` nodes with edges [from, to], which must not form a circle.
 *
 * @example
 * const { nodes, edges, width, height } = layoutGraph([80, 60, 60], [[0, 1], [0, 2]]);
 */
export function layoutGraph(
  widths: readonly number[],
  edges: readonly (readonly [from: number, to: number])[],
): Layout {
  const layerOf = layersOf(widths.length, edges);
  const layers: Item[][] = [];
  const add = (width: number, layer: number): Item => {
    const items = (layers[layer] ??= []);
    const item: Item = { width, layer, above: [], below: [], order: items.length, x: 0 };
    items.push(item);
    return item;
  };
  const link = (from: Item, to: Item): void => {
    from.below.push(to);
    to.above.push(from);
  };
  const items = widths.map((width, i) => add(width, layerOf[i]!));
  const paths = edges.map(([from, to]) => {
    const path = [items[from]!];
    for (let layer = layerOf[from]! + 1; layer < layerOf[to]!; layer++) path.push(add(PLACEHOLDER_WIDTH, layer));
    path.push(items[to]!);
    for (let i = 1; i < path.length; i++) link(path[i - 1]!, path[i]!);
    return path;
  });
  for (let sweep = 0; sweep < SWEEPS; sweep++) reorder(layers, sweep % 2 === 0);
  straighten(layers);

  if (layers.length === 0) return { nodes: [], edges: [], width: 0, height: 0 };
  const left = Math.min(...layers.map(([first]) => first!.x - first!.width / 2));
  const right = Math.max(...layers.map((layer) => layer.at(-1)!.x + layer.at(-1)!.width / 2));
  const place = ({ x, layer }: Item): Place => ({ x: x - left + GAP, y: (layer + 0.5) * LAYER_HEIGHT });
  return {
    nodes: items.map(place),
    edges: paths.map((path) => path.map(place)),
    width: right - left + 2 * GAP,
    height: layers.length * LAYER_HEIGHT,
  };
}

/** One more than the deepest node it reads from; nodes that read nothing stand right above their first reader. */
function layersOf(count: number, edges: readonly (readonly [number, number])[]): number[] {
  const layer = new Array<number>(count).fill(0);
  const readers = Array.from({ length: count }, (): number[] => []);
  const open = new Array<number>(count).fill(0);
  for (const [from, to] of edges) {
    readers[from]!.push(to);
    open[to]!++;
  }
  const isSource = open.map((waiting) => waiting === 0);
  const ready = isSource.flatMap((is, i) => (is ? [i] : []));
  for (const node of ready)
    for (const reader of readers[node]!) {
      layer[reader] = Math.max(layer[reader]!, layer[node]! + 1);
      if (--open[reader]! === 0) ready.push(reader);
    }
  isSource.forEach((is, node) => {
    if (is && readers[node]!.length > 0) layer[node] = Math.min(...readers[node]!.map((reader) => layer[reader]!)) - 1;
  });
  return layer;
}

function reorder(layers: readonly Item[][], downwards: boolean): void {
  for (const layer of downwards ? layers : layers.toReversed()) {
    const wish = new Map(
      layer.map((item) => {
        const neighbours = downwards ? item.above : item.below;
        const mean = neighbours.reduce((sum, { order }) => sum + order, 0) / neighbours.length;
        return [item, neighbours.length > 0 ? mean : item.order];
      }),
    );
    layer.sort((a, b) => wish.get(a)! - wish.get(b)!);
    layer.forEach((item, i) => (item.order = i));
  }
}

/** Moves items towards the mean of their neighbours as far as order and width allow. */
function straighten(layers: readonly Item[][]): void {
  for (const layer of layers) {
    let x = 0;
    for (const item of layer) {
      item.x = x + item.width / 2;
      x += item.width + GAP;
    }
    for (const item of layer) item.x -= (x - GAP) / 2;
  }
  for (let sweep = 0; sweep < 4 * SWEEPS; sweep++)
    for (const layer of sweep % 2 === 0 ? layers : layers.toReversed()) settle(layer, sweep % 2 === 0);
}

function settle(layer: readonly Item[], downwards: boolean): void {
  const wishes = layer.map((item) => {
    const neighbours = downwards ? item.above : item.below;
    return neighbours.length > 0 ? neighbours.reduce((sum, { x }) => sum + x, 0) / neighbours.length : item.x;
  });
  const distance = (i: number): number => (layer[i - 1]!.width + layer[i]!.width) / 2 + GAP;
  // Placing from the left and from the right both keep the order; so does their mean.
  const [fromLeft, fromRight] = [[...wishes], [...wishes]];
  for (let i = 1; i < layer.length; i++) fromLeft[i] = Math.max(fromLeft[i]!, fromLeft[i - 1]! + distance(i));
  for (let i = layer.length - 1; i > 0; i--)
    fromRight[i - 1] = Math.min(fromRight[i - 1]!, fromRight[i]! - distance(i));
  layer.forEach((item, i) => (item.x = (fromLeft[i]! + fromRight[i]!) / 2));
}
