// Attention as exporters write it out, a product of queries and keys, factors, masks, a Softmax and a product with the
// values, becomes one operator with kernels that never write the scores. Around it, everything that only tells where
// elements lie goes too: transposes that split and merge heads, factors on queries or keys, copies of keys for query
// heads that share them.
//
// Two products and a Softmax are found first, with what is between them in any order. Factors on the way are collected; masks
// are brought together into one, and one that hides exactly the keys behind each query becomes an attribute. Scores or weights that
// something else reads, too, have to be computed anyway, and stay.

import { isFloat } from "../../core/dtype.ts";
import { sameShape, sizeOf, type Shape, type TensorType } from "../../core/shape.ts";
import type { TensorData } from "../../core/tensorData.ts";
import { add, div, mul } from "../../ops/binary.ts";
import { expand } from "../../ops/expand.ts";
import { and, isNan, not } from "../../ops/logic.ts";
import { matMul } from "../../ops/matmul.ts";
import { reshape } from "../../ops/reshape.ts";
import { scalar } from "../../ops/scalar.ts";
import type { ScaledDotProductAttributes } from "../../ops/attentionScores.ts";
import { scaledDotProductAttention } from "../../ops/scaledDotProductAttention.ts";
import { tanh } from "../../ops/sigmoid.ts";
import { softmax } from "../../ops/softmax.ts";
import { permutationOf, transpose } from "../../ops/transpose.ts";
import { where } from "../../ops/where.ts";
import type { Graph, Node, Value } from "../graph.ts";
import { replaceFound, type Reader, type Replacement } from "./pattern.ts";

/** The graph with softmax(scale · Q·Kᵀ + mask) · V as ScaledDotProductAttention. */
export function recognizeAttention(graph: Graph): Graph {
  return replaceFound(graph, (root, reader) => new Search(reader, root).find());
}

/** One thing that happens to the scores between product and Softmax. */
type Step =
  | { readonly kind: "factor"; readonly factor: number }
  | { readonly kind: "tanh" }
  | { readonly kind: "added"; readonly mask: Value }
  | { readonly kind: "chosen"; readonly seen: Value; readonly isHidden: boolean; readonly other: number };

/** The product of queries and keys, and what happens to it. */
interface Path {
  readonly product: Node;
  readonly steps: readonly Step[];
}

/** An operand of [B, heads, rows, columns] once it has `shape` and its axes are permuted. */
interface Located {
  readonly source: Value;
  readonly shape: Shape;
  readonly perm: readonly number[];
  /** What it is multiplied by. */
  readonly factor: number;
}

/** What becomes of the scores, as the operator says it. */
interface Scores {
  readonly scale: number;
  readonly softcap: number;
  readonly added: readonly { readonly mask: Value; readonly factor: number }[];
  readonly chosen: readonly { readonly seen: Value; readonly isHidden: boolean; readonly other: number }[];
}

/** A mask that hides from each query the keys behind it. */
interface Causal {
  readonly offset: number;
}

/** Added scores that no score comes near: hidden, wherever another key is seen. */
const HIDDEN = -1e30;

class Search {
  private readonly inner = new Set<Node>();
  /** Batch and head axes of every 4-D tensor on the way. */
  private readonly batches: Shape[] = [];

  constructor(
    private readonly reader: Reader,
    private readonly root: Node,
  ) {}

  find(): Replacement | undefined {
    const { reader, root } = this;
    // A transpose behind is part of it: the result is written where it belongs.
    if (reader.by(transpose, root.outputs[0])) {
      const perm = permutationOf(root.inputs[0]!.shape, root.attributes["perm"] as readonly number[]);
      const product = this.innerNode(this.throughHeads(root.inputs[0]!), matMul);
      return product && this.at(product, perm);
    }
    return reader.by(matMul, root.outputs[0]) && this.at(root, undefined);
  }

  /** The node of `operator` that computes `value`, which becomes superfluous. */
  private innerNode(value: Value, operator: { readonly name: string }): Node | undefined {
    const node = this.reader.isSole(value) ? this.reader.by(operator, value) : undefined;
    if (node) {
      this.inner.add(node);
      this.note(value);
    }
    return node;
  }

  private note({ shape }: TensorType): void {
    if (shape.length === 4) this.batches.push(shape.slice(0, 2));
  }

  /** What a Reshape that only splits or merges batch and heads was given. */
  private throughHeads(value: Value): Value {
    const node = this.reader.isSole(value) ? this.reader.by(reshape, value) : undefined;
    const [source] = node?.inputs ?? [];
    if (!source || !sameShape(source.shape.slice(-2), value.shape.slice(-2))) return value;
    this.inner.add(node!);
    this.note(value);
    return source;
  }

  /** The product with the values; `perm` is that of a transpose behind it. */
  private at(product: Node, perm: readonly number[] | undefined): Replacement | undefined {
    const [a, b] = product.inputs as readonly [Value, Value];
    const output = product.outputs[0]!;
    this.note(output);
    if (!isFloat(output.dtype) || output.shape.length < 2 || output.shape.length > 4) return undefined;
    const { transA, transB } = product.attributes;
    // weights · V, or the transpose of that, Vᵀ · weightsᵀ.
    return (
      (transA === 0 ? this.attempt(() => this.withWeights(a, b, transB === 1, false, perm)) : undefined) ??
      (transB === 1 ? this.attempt(() => this.withWeights(b, a, transA === 0, true, perm)) : undefined)
    );
  }

  /** What `search` finds; what it noted on the way counts only if it finds something. */
  private attempt<T>(search: () => T | undefined): T | undefined {
    const [inner, batches] = [new Set(this.inner), this.batches.length];
    const found = search();
    if (found) return found;
    for (const node of this.inner) if (!inner.has(node)) this.inner.delete(node);
    this.batches.length = batches;
    return undefined;
  }

  private withWeights(
    weights: Value,
    values: Value,
    valuesSwapped: boolean,
    isTransposed: boolean,
    perm: readonly number[] | undefined,
  ): Replacement | undefined {
    const softened = this.softmaxOf(weights);
    const steps = softened && this.stepsTo(softened.scores);
    return steps && this.replacement(steps, values, valuesSwapped, softened.unseen, isTransposed, perm);
  }

  /** The scores whose Softmax along the keys `weights` are. */
  private softmaxOf(weights: Value): { readonly scores: Value; readonly unseen: "zero" | "nan" } | undefined {
    const { reader } = this;
    let value = this.throughRows(this.throughHeads(weights));
    let unseen: "zero" | "nan" = "nan";
    // PyTorch: where(isnan(w), 0, w).
    const choice = reader.isSole(value) ? reader.by(where, value) : undefined;
    const [condition, zero, otherwise] = choice?.inputs ?? [];
    if (condition && reader.scalar(zero) === 0) {
      const test = this.innerNode(condition, isNan);
      if (test?.inputs[0] !== otherwise) return undefined;
      this.inner.add(choice!);
      value = otherwise!;
      unseen = "zero";
    }
    // Read twice where NaN is replaced: that nothing else does is checked with the whole.
    const node = reader.by(softmax, value);
    const rank = value.shape.length;
    if (!node || ![-1, rank - 1].includes(node.attributes["axis"] as number)) return undefined;
    if (unseen === "nan" && !reader.isSole(value)) return undefined;
    this.inner.add(node);
    const scores = this.throughRows(node.inputs[0]!);
    if (!sameShape(scores.shape.slice(-2), weights.shape.slice(-2))) return undefined;
    return { scores, unseen };
  }

  /** What a Reshape of whole rows was given: older Softmaxes work on matrices. */
  private throughRows(value: Value): Value {
    const node = this.reader.isSole(value) ? this.reader.by(reshape, value) : undefined;
    const [source] = node?.inputs ?? [];
    if (!source || source.shape.at(-1) !== value.shape.at(-1)) return value;
    this.inner.add(node!);
    return source;
  }

  /** What leads from the product of queries and keys to `scores`, in the order it happens. */
  private stepsTo(scores: Value): Path | undefined {
    const { reader } = this;
    const value = this.throughHeads(scores);
    if (!reader.isSole(value) || !value.node) return undefined;
    this.note(value);
    const product = this.innerNode(value, matMul);
    if (product) return { product, steps: [] };
    const { operator, inputs } = value.node;
    const [a, b, c] = inputs;
    const onward = (from: Value, step: Step): Path | undefined => {
      if (!sameShape(from.shape, value.shape)) return undefined;
      const found = this.attempt(() => this.stepsTo(from));
      if (found) this.inner.add(value.node!);
      return found && { product: found.product, steps: [...found.steps, step] };
    };
    if (operator.name === tanh.name) return onward(a!, { kind: "tanh" });
    if (operator.name === add.name)
      return onward(a!, { kind: "added", mask: b! }) ?? onward(b!, { kind: "added", mask: a! });
    if (operator.name === mul.name || operator.name === div.name) {
      const factor = reader.scalar(b);
      if (factor !== undefined)
        return onward(a!, { kind: "factor", factor: operator.name === mul.name ? factor : 1 / factor });
      const first = operator.name === mul.name ? reader.scalar(a) : undefined;
      return first === undefined ? undefined : onward(b!, { kind: "factor", factor: first });
    }
    if (operator.name === where.name) {
      const [seenElse, hiddenElse] = [reader.scalar(c), reader.scalar(b)];
      if (seenElse !== undefined) return onward(b!, { kind: "chosen", seen: a!, isHidden: false, other: seenElse });
      if (hiddenElse !== undefined) return onward(c!, { kind: "chosen", seen: a!, isHidden: true, other: hiddenElse });
    }
    return undefined;
  }

  private replacement(
    { product: scored, steps }: Path,
    values: Value,
    valuesSwapped: boolean,
    unseen: "zero" | "nan",
    isTransposed: boolean,
    outputPerm: readonly number[] | undefined,
  ): Replacement | undefined {
    const scores = combine(steps);
    const batch = this.batch(scored);
    if (!scores || !batch) return undefined;
    const { transA, transB } = scored.attributes;
    const q = this.locate(scored.inputs[0]!, transA === 1, batch, true);
    const k = this.locate(scored.inputs[1]!, transB === 0, batch, true);
    const v = this.locate(values, valuesSwapped, batch, false);
    if (!q || !k || !v) return undefined;
    const [queries, keys] = [permuted(q.shape, q.perm), permuted(k.shape, k.perm)];
    const vShape = permuted(v.shape, v.perm);
    if (!sameShape(queries.slice(0, 2), batch) || !sameShape(keys.slice(0, 3), vShape.slice(0, 3))) return undefined;
    if (keys[0] !== queries[0] || queries[1]! % keys[1]! !== 0) return undefined;
    if ([q, k, v].some(({ source }) => source.dtype !== scored.outputs[0]!.dtype)) return undefined;
    const whole = [...batch, queries[2]!, keys[2]!];
    const scale = scores.scale * q.factor * k.factor;
    if (scale === 0 || !Number.isFinite(scale)) return undefined;
    const masks = this.masks(scores, whole);
    if (!masks) return undefined;

    const rowsAndColumns = isTransposed ? [3, 2] : [2, 3];
    const natural = [0, 1, ...rowsAndColumns];
    const y_perm = outputPerm ? this.outputAxes(outputPerm, natural) : natural;
    if (!y_perm) return undefined;
    const attributes: Partial<ScaledDotProductAttributes> = {
      scale,
      softcap: scores.softcap,
      unseen,
      q_perm: q.perm,
      k_perm: k.perm,
      v_perm: v.perm,
      y_perm,
      ...masks.attributes,
    };
    return {
      inner: this.inner,
      build: (target, map) => {
        const operand = ({ source, shape }: Located): Value => shaped(target, map(source), shape);
        const mask = masks.build(target, map);
        const y = target.apply(scaledDotProductAttention, [operand(q), operand(k), operand(v), mask], attributes);
        return [shaped(target, y, this.root.outputs[0]!.shape)];
      },
    };
  }

  /** Batches and heads: those of the 4-D tensors on the way, which must agree. */
  private batch({ inputs, outputs }: Node): readonly [number, number] | undefined {
    const { shape } = outputs[0]!;
    const size = sizeOf(shape.slice(0, -2));
    const merged = this.reader.by(reshape, inputs[0])?.inputs[0];
    if (this.batches.length === 0 && merged && shape.length === 3 && merged.shape.length === 4) this.note(merged);
    const [first = shape.length === 3 ? [1, size] : [1, 1], ...others] = this.batches;
    if (sizeOf(first) !== size || others.some((other) => !sameShape(other, first))) return undefined;
    return first as unknown as readonly [number, number];
  }

  /**
   * Where the elements of an operand of a product come from. `isSwapped`: its rows are its last axis. Factors are collected
   * where `mayScale`.
   */
  private locate(
    value: Value,
    isSwapped: boolean,
    batch: readonly [number, number],
    mayScale: boolean,
  ): Located | undefined {
    const { reader } = this;
    let source = value;
    let factor = 1;
    const rank = value.shape.length;
    if (rank < 2 || rank > 4) return undefined;
    let perm = Array.from({ length: rank }, (_, axis) => axis);
    if (isSwapped) perm.push(...perm.splice(rank - 2, 2).reverse());
    for (;;) {
      const { node } = source;
      const [a] = node?.inputs ?? [];
      if (!node || !a) break;
      if (reader.by(transpose, source)) {
        const inner = permutationOf(a.shape, node.attributes["perm"] as readonly number[]);
        perm = perm.map((axis) => inner[axis]!);
        source = a;
        continue;
      }
      const scaled = mayScale ? this.factorOf(node) : undefined;
      if (scaled && sameShape(scaled.of.shape, source.shape)) {
        factor *= scaled.factor;
        source = scaled.of;
        continue;
      }
      if (reader.by(reshape, source)) {
        // [B · heads, ·, ·] of [B, heads, ·, ·].
        const merges = perm.length === 3 && perm[0] === 0 && a.shape.length === 4;
        if (merges && sameShape(a.shape.slice(0, 2), batch) && sameShape(a.shape.slice(2), source.shape.slice(1))) {
          perm = [0, ...perm.map((axis) => axis + 1)];
          source = a;
          continue;
        }
        const shared = perm.length === 4 && perm[0] === 0 && perm[1] === 1 ? this.sharedHeads(source) : undefined;
        if (shared) return { source: shared, shape: shared.shape.toSpliced(2, 1), perm, factor };
      }
      break;
    }
    const { shape } = source;
    if (perm.length === 4) return { source, shape, perm, factor };
    if (perm.length === 2)
      return { source, shape: [1, 1, ...shape], perm: [0, 1, ...perm.map((axis) => axis + 2)], factor };
    // The axis of batch and heads becomes two.
    const at = perm[0]!;
    return {
      source,
      shape: [...shape.slice(0, at), ...batch, ...shape.slice(at + 1)],
      perm: perm.flatMap((axis) => (axis === at ? [at, at + 1] : axis < at ? [axis] : [axis + 1])),
      factor,
    };
  }

  /** `of · factor` as a node writes it. */
  private factorOf({ operator, inputs: [a, b] }: Node): { readonly of: Value; readonly factor: number } | undefined {
    const [left, right] = [this.reader.scalar(a), this.reader.scalar(b)];
    if (operator.name === mul.name && right !== undefined) return { of: a!, factor: right };
    if (operator.name === mul.name && left !== undefined) return { of: b!, factor: left };
    if (operator.name === div.name && right !== undefined) return { of: a!, factor: 1 / right };
    return undefined;
  }

  /** The key heads [B, Hkv, …] of which `value` [B, H, ·, ·] has a copy for every query head: Expand of [B, Hkv, 1, ·, ·]. */
  private sharedHeads(value: Value): Value | undefined {
    const { reader } = this;
    const copies = reader.by(expand, reader.by(reshape, value)?.inputs[0]);
    const source = copies?.inputs[0];
    const [full, own] = [copies?.outputs[0]?.shape, source?.shape];
    if (!full || !own || full.length !== 5 || own.length !== 5 || own[2] !== 1) return undefined;
    const isExpanded = full.every((extent, axis) => axis === 2 || extent === own[axis]);
    const isMerged = full[0] === value.shape[0] && sameShape(full.slice(3), value.shape.slice(2));
    return isExpanded && isMerged ? source : undefined;
  }

  /** Axes of the result [B, heads, L, Dv] in the order of a transpose of the product, whose own order is `natural`. */
  private outputAxes(perm: readonly number[], natural: readonly number[]): readonly number[] | undefined {
    if (perm.length === 4) return perm.map((axis) => natural[axis]!);
    if (perm.length === 3) return perm.flatMap((axis) => (axis === 0 ? [0, 1] : [natural[axis + 1]!]));
    return undefined;
  }

  /** All masks as one operand, or as attributes. */
  private masks(
    { added, chosen }: Scores,
    whole: Shape,
  ): { readonly attributes: Partial<ScaledDotProductAttributes>; build: MaskBuilder } | undefined {
    const { graph } = this.reader;
    for (const { mask } of added) if (!isFloat(mask.dtype) || !alignedMask(mask.shape, whole)) return undefined;
    for (const { seen } of chosen) if (!alignedMask(seen.shape, whole)) return undefined;
    const fills = new Set(chosen.map(({ other }) => other));
    const [fill = -Infinity] = fills;
    const hides = fill === -Infinity;
    if (fills.size > 1 || (!hides && chosen.length > 1)) return undefined;

    const attributes: { -readonly [K in keyof ScaledDotProductAttributes]?: ScaledDotProductAttributes[K] } = {};
    const left: { added: typeof added; chosen: typeof chosen } = { added, chosen };
    const causalOf = (mask: Value, hidden: (element: number) => boolean | undefined): Causal | undefined => {
      const constant = graph.constants.get(mask);
      return constant && attributes.causal === undefined ? causalMask(constant, whole, hidden) : undefined;
    };
    const take = (causal: Causal | undefined): boolean => {
      if (causal) Object.assign(attributes, { causal: "offset", offset: causal.offset });
      return causal !== undefined;
    };
    left.added = added.filter(({ mask }) => {
      const causal = causalOf(mask, (element) => (element === 0 ? false : element <= HIDDEN ? true : undefined));
      // A finite number hides nothing from a query that sees no key otherwise.
      const isSure = causal && (causal.offset >= 0 || graph.constants.get(mask)!.data.includes(-Infinity));
      return !(isSure && added.length + chosen.length === 1 && take(causal));
    });
    left.chosen = chosen.filter(({ seen, isHidden, other }) => {
      const causal = causalOf(seen, (element) => (element !== 0) === isHidden);
      const isSure = other === -Infinity || (causal && causal.offset >= 0 && other <= HIDDEN && added.length === 0);
      return !(isSure && take(causal));
    });

    if (left.chosen.length > 0 && !hides) {
      if (left.added.length > 0 || attributes.causal !== undefined) return undefined;
      attributes.mask_value = fill;
    }
    return {
      attributes,
      build(target, map) {
        const aligned = (mask: Value): Value => shaped(target, map(mask), alignedMask(mask.shape, whole)!);
        const seen = left.chosen
          .map(({ seen: mask, isHidden }) => (isHidden ? target.apply(not, [aligned(mask)]) : aligned(mask)))
          .reduce<Value | undefined>((all, each) => (all ? target.apply(and, [all, each]) : each), undefined);
        const bias = left.added
          .map(({ mask, factor }) => {
            const whole4 = aligned(mask);
            return factor === 1 ? whole4 : target.apply(mul, [whole4, scalar(target, factor, whole4)]);
          })
          .reduce<Value | undefined>((all, each) => (all ? target.apply(add, [all, each]) : each), undefined);
        if (!seen || !bias) return seen ?? bias;
        return target.apply(where, [seen, bias, scalar(target, -Infinity, bias)]);
      },
    };
  }
}

type MaskBuilder = (target: Graph, map: (value: Value) => Value) => Value | undefined;

const shaped = (target: Graph, value: Value, shape: Shape): Value =>
  sameShape(value.shape, shape) ? value : target.apply(reshape, [value], { shape, allowzero: 1 });

const permuted = (shape: Shape, perm: readonly number[]): Shape => perm.map((axis) => shape[axis]!);

/** The steps as the operator has them: a factor, a softcap, then masks. */
function combine(steps: readonly Step[]): Scores | undefined {
  let [scale, softcap] = [1, 0];
  let added: Scores["added"] = [];
  let chosen: Scores["chosen"] = [];
  for (const step of steps) {
    const isMasked = added.length + chosen.length > 0;
    switch (step.kind) {
      case "factor": {
        const { factor } = step;
        if ((isMasked || softcap > 0) && !(factor > 0)) return undefined;
        scale *= factor;
        softcap *= factor;
        added = added.map((one) => ({ ...one, factor: one.factor * factor }));
        chosen = chosen.map((one) => ({ ...one, other: one.other * factor }));
        break;
      }
      case "tanh":
        if (isMasked || softcap > 0) return undefined;
        softcap = 1;
        break;
      case "added":
        // A finite score in a hidden key's place would be moved by it.
        if (chosen.some(({ other }) => other !== -Infinity)) return undefined;
        added = [...added, { mask: step.mask, factor: 1 }];
        break;
      case "chosen":
        if (step.other === Infinity || Number.isNaN(step.other)) return undefined;
        if (added.length > 0 && step.other !== -Infinity) return undefined;
        chosen = [...chosen, step];
    }
  }
  return { scale, softcap, added, chosen };
}

/** A mask's shape with 4 axes that stretch to `whole`; undefined where it is another kind of thing. */
function alignedMask(shape: Shape, whole: Shape): Shape | undefined {
  let full: Shape = shape;
  if (shape.length === 3 && whole[0] !== 1 && shape[0] === whole[0]! * whole[1]!)
    full = [...whole.slice(0, 2), ...shape.slice(1)];
  if (full.length > 4) return undefined;
  full = [...new Array<number>(4 - full.length).fill(1), ...full];
  return full.every((extent, axis) => extent === 1 || extent === whole[axis]) ? full : undefined;
}

/** The offset where a constant mask is the same for all heads and hides exactly the keys behind i + offset. */
function causalMask(
  mask: TensorData,
  whole: Shape,
  isHidden: (element: number) => boolean | undefined,
): Causal | undefined {
  const [, , L, S] = whole as readonly [number, number, number, number];
  if (sizeOf(mask.shape) !== L * S || L < 2 || mask.shape.at(-1) !== S) return undefined;
  const { data } = mask; // read only now: it may lie in a file
  let offset: number | undefined;
  for (let i = 0; i < L; i++)
    for (let j = 0; j <= S; j++) {
      const hidden = j === S || isHidden(data[i * S + j]!);
      if (hidden === undefined) return undefined;
      if (offset === undefined) {
        if (hidden) offset = j - 1; // i is 0
      } else if (j < S && hidden !== j > i + offset) return undefined;
    }
  return offset === undefined ? undefined : { offset };
}
