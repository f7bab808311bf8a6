// Scatters to places that are known when the graph is compiled. Exporters write `x[:, ::2] = y` as ScatterND with constant
// indices; which update every place ends up with can be told at once, so what is left is a Gather from the data and the
// updates laid one behind the other, whatever the number of indices. A chain of such scatters is one Gather.

import { sizeOf, type Shape } from "../../core/shape.ts";
import { concatenate } from "../../ops/concat.ts";
import { gather } from "../../ops/gather.ts";
import { reshape } from "../../ops/reshape.ts";
import { scatterND } from "../../ops/tuples.ts";
import { consumersOf, type Graph, type Value } from "../graph.ts";
import { rebuild } from "./rebuild.ts";

/** A tensor as rows chosen from several others. */
interface Chosen {
  /** What the rows come from, one behind the other. */
  readonly parts: readonly Value[];
  /** Elements of a row. */
  readonly width: number;
  /** For each row of the tensor, its number among the rows of all parts. */
  readonly rows: Int32Array;
}

/** The graph with every ScatterND of constant indices and no reduction as a Gather. */
export function resolveScatters(graph: Graph): Graph {
  const consumers = consumersOf(graph);
  const escaping = new Set(graph.outputs.values());
  const known = new Map<Value, Chosen>();
  return rebuild(graph, (node, inputs, target) => {
    if (node.operator.name !== scatterND.name || node.attributes["reduction"] !== "none") return undefined;
    const [data, indices, updates] = inputs as [Value, Value, Value];
    const constant = target.constants.get(indices);
    const depth = indices.shape.at(-1) ?? 0;
    if (!constant || depth === 0 || sizeOf(updates.shape) === 0) return undefined;
    const places = placesOf(constant.data, data.shape.slice(0, depth));
    if (!places) return undefined; // the operator says what is wrong with them
    const width = sizeOf(data.shape.slice(depth));
    const earlier = known.get(data);
    const isLink = consumers.get(node.inputs[0]!)?.length === 1 && !escaping.has(node.inputs[0]!);
    const base = earlier?.width === width && isLink ? earlier : wholly(data, width);
    const first = base.parts.reduce((sum, part) => sum + sizeOf(part.shape) / width, 0);
    const rows = base.rows.slice();
    places.forEach((place, tuple) => (rows[place] = first + tuple)); // of two for one place, the later stays
    const chosen: Chosen = { parts: [...base.parts, updates], width, rows };
    const result = assembled(target, chosen, data.shape);
    known.set(result, chosen);
    return [result];
  });
}

/** A tensor as its own rows in order. */
function wholly(data: Value, width: number): Chosen {
  const count = sizeOf(data.shape) / width;
  return { parts: [data], width, rows: Int32Array.from({ length: count }, (_, row) => row) };
}

/** The row each tuple of indices names; undefined if one is out of range. */
function placesOf(indices: ArrayLike<number>, extents: Shape): number[] | undefined {
  const places: number[] = [];
  for (let at = 0; at < indices.length; at += extents.length) {
    let place = 0;
    for (const [axis, extent] of extents.entries()) {
      const given = indices[at + axis]!;
      const index = given < 0 ? given + extent : given;
      if (index < 0 || index >= extent) return undefined;
      place = place * extent + index;
    }
    places.push(place);
  }
  return places;
}

function assembled(target: Graph, { parts, width, rows }: Chosen, shape: Shape): Value {
  const asRows = parts.map((part) => target.apply(reshape, [part], { shape: [sizeOf(part.shape) / width, width] }));
  const all = concatenate(target, asRows, 0);
  const chosen = target.constant({ dtype: "int32", shape: [rows.length], data: rows });
  return target.apply(reshape, [target.apply(gather, [all, chosen], { axis: 0 })], { shape: [...shape] });
}
