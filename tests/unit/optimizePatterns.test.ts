// Formulas that exporters write out: which of their variants are recognised, which near-misses are not, and that the numbers
// stay what they were.

import { describe, expect, test } from "vitest";
import { filled, tensorData, type TensorData } from "../../src/core/tensorData.ts";
import { Random } from "../../src/core/random.ts";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { optimize, type OptimizeOptions } from "../../src/graph/passes/optimize.ts";
import { softplus } from "../../src/ops/activations.ts";
import { add, div, mul, sub } from "../../src/ops/binary.ts";
import { concatenate } from "../../src/ops/concat.ts";
import { erf } from "../../src/ops/erf.ts";
import { expand } from "../../src/ops/expand.ts";
import { max, min } from "../../src/ops/extrema.ts";
import { isNan } from "../../src/ops/logic.ts";
import { matMul } from "../../src/ops/matmul.ts";
import { pow } from "../../src/ops/pow.ts";
import { reshape } from "../../src/ops/reshape.ts";
import { sigmoid, tanh } from "../../src/ops/sigmoid.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { transpose } from "../../src/ops/transpose.ts";
import { exp, log, neg } from "../../src/ops/unary.ts";
import { where } from "../../src/ops/where.ts";
import { evaluateGraph } from "../harness/randomGraph.ts";

function tensor(shape: Shape, seed: number): TensorData {
  const random = new Random(seed);
  return tensorData(
    Array.from({ length: sizeOf(shape) }, () => 4 * random.uniform() - 2),
    shape,
  );
}

type Shapes = Readonly<Record<string, Shape>>;
type Build = (graph: Graph, inputs: Readonly<Record<string, Value>>) => Value | readonly Value[];

/** Optimises a graph, checks that its results stay, and returns the optimised graph. */
async function optimized(shapes: Shapes, build: Build, options?: OptimizeOptions): Promise<Graph> {
  const graph = new Graph();
  const inputs = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, graph.input(name, { dtype: "float32", shape })]),
  );
  [build(graph, inputs)].flat().forEach((value, i) => graph.output(`y${i}`, value));
  const after = await optimize(graph, options);
  const data = Object.fromEntries(Object.entries(shapes).map(([name, shape], i) => [name, tensor(shape, i + 1).data]));
  const [was, is] = [evaluateGraph(graph, data), evaluateGraph(after, data)];
  for (const [name, value] of graph.outputs) {
    const expected = was.get(value)!;
    const actual = is.get(after.outputs.get(name)!)!;
    expect(actual.length).toBe(expected.length);
    expected.forEach((number, i) => {
      if (Number.isNaN(number)) expect(actual[i]).toBeNaN();
      else expect(Math.abs(actual[i]! - number)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(number)));
    });
  }
  return after;
}

const shaped = (graph: Graph, value: Value, shape: Shape): Value => graph.apply(reshape, [value], { shape });

const names = (graph: Graph): string[] => graph.nodes.map(({ operator }) => operator.name);

describe("activations", () => {
  const left = async (build: (g: Formulas) => Value | readonly Value[], options?: OptimizeOptions): Promise<string[]> =>
    names(await optimized({ x: [3, 7] }, (graph, { x }) => build(new Formulas(graph, x!)), options));

  test.each<[string, (g: Formulas) => Value]>([
    ["x · 0.5 · (1 + erf(x / √2))", (g) => g.mul(g.mul(g.x, 0.5), g.add(1, g.erf(g.div(g.x, Math.SQRT2))))],
    ["0.5 · (x · (erf(x · √½) + 1))", (g) => g.mul(0.5, g.mul(g.x, g.add(g.erf(g.mul(g.x, Math.SQRT1_2)), 1)))],
    ["x · ((1 + erf(√½ · x)) / 2)", (g) => g.mul(g.x, g.div(g.add(1, g.erf(g.mul(Math.SQRT1_2, g.x))), 2))],
    [
      "(x / 2) · (1 + erf(x / √2)), in float32",
      (g) => g.mul(g.div(g.x, 2), g.add(1, g.erf(g.div(g.x, Math.fround(Math.SQRT2))))),
    ],
    [
      "½x(1 + tanh(√(2/π)(x + 0.044715 x³)))",
      (g) => g.mul(g.mul(0.5, g.x), g.add(1, g.tanh(g.mul(0.7978845608, g.add(g.x, g.mul(0.044715, g.pow(3))))))),
    ],
    [
      "the same with x·x·x",
      (g) =>
        g.mul(
          g.mul(0.5, g.x),
          g.add(g.tanh(g.mul(g.add(g.x, g.mul(g.mul(g.x, g.mul(g.x, g.x)), 0.044715)), 0.7978845608)), 1),
        ),
    ],
    [
      "the same with x taken out",
      (g) =>
        g.mul(
          g.x,
          g.mul(0.5, g.add(1, g.tanh(g.mul(g.mul(0.7978845608, g.x), g.add(1, g.mul(0.044715, g.mul(g.x, g.x))))))),
        ),
    ],
    [
      "x · σ(2√(2/π)(x + 0.044715 x³))",
      (g) => g.mul(g.x, g.sigmoid(g.mul(1.5957691216, g.add(g.x, g.mul(0.044715, g.pow(3)))))),
    ],
  ])("%s is Gelu", async (_, build) => {
    expect(await left(build)).toEqual(["Gelu"]);
    expect(await left(build, { activations: false })).not.toContain("Gelu");
  });

  test.each<[string, string, (g: Formulas) => Value]>([
    ["x · σ(x)", "Swish", (g) => g.mul(g.x, g.sigmoid(g.x))],
    ["σ(1.702 x) · x", "Swish", (g) => g.mul(g.sigmoid(g.mul(1.702, g.x)), g.x)],
    ["x / (1 + e^-x)", "Swish", (g) => g.div(g.x, g.add(1, g.exp(g.neg(g.x))))],
    ["1 / (1 + e^-x)", "Sigmoid", (g) => g.div(1, g.add(g.exp(g.mul(g.x, -1)), 1))],
    ["x · tanh(softplus(x))", "Mish", (g) => g.mul(g.x, g.tanh(g.softplus(g.x)))],
    ["x · tanh(log(1 + e^x))", "Mish", (g) => g.mul(g.x, g.tanh(g.log(g.add(1, g.exp(g.x)))))],
    ["x · clip(x + 3, 0, 6) / 6", "HardSwish", (g) => g.div(g.mul(g.x, g.min(g.max(g.add(g.x, 3), 0), 6)), 6)],
    ["x · (clip(x + 3, 0, 6) / 6)", "HardSwish", (g) => g.mul(g.x, g.div(g.max(g.min(g.add(g.x, 3), 6), 0), 6))],
  ])("%s is %s", async (_, name, build) => {
    expect(await left(build)).toEqual([name]);
    expect((await left(build, { activations: false })).length).toBeGreaterThan(1);
  });

  test.each<[string, (g: Formulas) => Value | readonly Value[]]>([
    ["another factor", (g) => g.mul(g.mul(g.x, 0.49), g.add(1, g.erf(g.div(g.x, Math.SQRT2))))],
    ["another root", (g) => g.mul(g.mul(g.x, 0.5), g.add(1, g.erf(g.div(g.x, 1.4))))],
    ["another x", (g) => g.mul(g.mul(g.x, 0.5), g.add(1, g.erf(g.div(g.add(g.x, 1), Math.SQRT2))))],
    [
      "a product with one more factor",
      (g) => g.mul(g.mul(g.x, g.mul(0.5, g.exp(g.x))), g.add(1, g.erf(g.div(g.x, Math.SQRT2)))),
    ],
    [
      "1 + erf is an output, too",
      (g) => {
        const share = g.add(1, g.erf(g.div(g.x, Math.SQRT2)));
        return [g.mul(g.mul(g.x, 0.5), share), share];
      },
    ],
    [
      "erf is read elsewhere",
      (g) => {
        const e = g.erf(g.div(g.x, Math.SQRT2));
        return [g.mul(g.mul(g.x, 0.5), g.add(1, e)), g.exp(e)];
      },
    ],
    [
      "a constant adds an axis",
      (g) => g.mul(g.mul(g.x, g.graph.constant(filled(0.5, [1, 1, 1]))), g.add(1, g.erf(g.div(g.x, Math.SQRT2)))),
    ],
  ])("%s: not Gelu", async (_, build) => {
    expect(await left(build)).not.toContain("Gelu");
  });

  test("a gated unit keeps its gate", async () => {
    const shapes = { x: [3, 7], gate: [3, 7] };
    const after = await optimized(shapes, (graph, { x, gate }) => {
      const product = graph.apply(mul, [x, gate]);
      return graph.apply(mul, [product, graph.apply(sigmoid, [product])]);
    });
    expect(names(after)).toEqual(["Mul", "Swish"]);
  });
});

/** Formulas over one input; numbers become constants. */
class Formulas {
  constructor(
    readonly graph: Graph,
    readonly x: Value,
  ) {}
  private value = (term: Value | number): Value => (typeof term === "number" ? this.graph.constant(term) : term);
  private two =
    (operator: typeof add) =>
    (a: Value | number, b: Value | number): Value =>
      this.graph.apply(operator, [this.value(a), this.value(b)]);
  private one =
    (operator: typeof exp) =>
    (a: Value): Value =>
      this.graph.apply(operator, [a]);
  readonly add = this.two(add);
  readonly mul = this.two(mul);
  readonly div = this.two(div);
  readonly max = this.two(max);
  readonly min = this.two(min);
  readonly erf = this.one(erf);
  readonly exp = this.one(exp);
  readonly log = this.one(log);
  readonly neg = this.one(neg);
  readonly tanh = this.one(tanh);
  readonly sigmoid = this.one(sigmoid);
  readonly softplus = this.one(softplus);
  readonly pow = (power: number): Value => this.graph.apply(pow, [this.x, this.graph.constant(power)]);
}

describe("attention", () => {
  const [B, H, L, S, D] = [2, 3, 4, 5, 8];
  const heads = { q: [B, H, L, D], k: [B, H, S, D], v: [B, H, S, D] };
  const swapped = (graph: Graph, x: Value): Value => {
    const rank = x.shape.length;
    const perm = x.shape.map((_, axis) => (axis < rank - 2 ? axis : axis === rank - 2 ? rank - 1 : rank - 2));
    return graph.apply(transpose, [x], { perm });
  };
  /** softmax(between(q · kᵀ)) · v */
  const written =
    (between: (graph: Graph, scores: Value) => Value = (_, scores) => scores, axis = -1): Build =>
    (graph, { q, k, v }) => {
      const scores = graph.apply(matMul, [q, swapped(graph, k!)]);
      return graph.apply(matMul, [graph.apply(softmax, [between(graph, scores)], { axis }), v]);
    };
  const scaled = (graph: Graph, scores: Value): Value => graph.apply(div, [scores, graph.constant(Math.sqrt(D))]);
  const lower = (value: number, offset = 0): TensorData =>
    tensorData(
      Array.from({ length: L * S }, (_, at) => (at % S <= Math.floor(at / S) + offset ? 0 : value)),
      [1, 1, L, S],
    );
  const seen = (offset: number): TensorData => ({
    dtype: "bool",
    shape: [L, S],
    data: Uint32Array.from({ length: L * S }, (_, at) => (at % S <= Math.floor(at / S) + offset ? 1 : 0)),
  });
  const only = ["ScaledDotProductAttention"];
  const attributesOf = (graph: Graph): Readonly<Record<string, unknown>> =>
    graph.nodes.find(({ operator }) => operator.name === only[0])!.attributes;

  test("two products and a Softmax are one, and stay when switched off", async () => {
    expect(names(await optimized(heads, written()))).toEqual(only);
    expect(names(await optimized(heads, written(scaled)))).toEqual(only);
    const off = names(await optimized(heads, written(scaled), { attention: false }));
    expect(off).toEqual(["MatMul", "Div", "Softmax", "MatMul"]);
  });

  test("the factor on the scores, the queries, the keys, or part of it on each", async () => {
    const factor = D ** -0.25;
    const places: Build[] = [
      written((graph, s) => graph.apply(mul, [graph.constant(1 / Math.sqrt(D)), s])),
      (graph, { q, k, v }) => written()(graph, { q: scaled(graph, q!), k: k!, v: v! }),
      (graph, { q, k, v }) => {
        const [half, other] = [q!, swapped(graph, k!)].map((x) => graph.apply(mul, [x, graph.constant(factor)]));
        return graph.apply(matMul, [graph.apply(softmax, [graph.apply(matMul, [half, other])]), v]);
      },
    ];
    for (const build of places) {
      const after = await optimized(heads, build);
      expect(names(after)).toEqual(only);
      expect(attributesOf(after)["scale"]).toBeCloseTo(1 / Math.sqrt(D), 6);
    }
  });

  test("masks that are added, before the factor and after it, one and several", async () => {
    const shapes = { ...heads, mask: [B, 1, 1, S], bias: [H, L, S] };
    const added =
      (order: readonly ("mask" | "bias" | "scale")[]): Build =>
      (graph, inputs) =>
        written((_, scores) =>
          order.reduce(
            (s, step) => (step === "scale" ? scaled(graph, s) : graph.apply(add, [s, inputs[step]])),
            scores,
          ),
        )(graph, inputs);
    expect(names(await optimized(shapes, added(["scale", "mask"])))).toEqual(only);
    expect(names(await optimized(shapes, added(["mask", "scale"])))).toEqual(["Mul", ...only]);
    expect(names(await optimized(shapes, added(["bias", "scale", "mask"])))).toEqual([
      "Reshape",
      "Mul",
      "Add",
      ...only,
    ]);
    const first = await optimized(shapes, (graph, inputs) =>
      written((_, scores) => graph.apply(add, [inputs["mask"], scaled(graph, scores)]))(graph, inputs),
    );
    expect(names(first)).toEqual(only);
  });

  test("masks that choose: -∞, a low number, either side", async () => {
    const shapes = { ...heads, m: [B, 1, 1, S] };
    const chosen =
      (other: number, isHidden: boolean): Build =>
      (graph, inputs) => {
        const positive = graph.apply(isNan, [graph.apply(log, [inputs["m"]])]); // some of them
        return written((_, s) => {
          const [yes, no] = isHidden ? [graph.constant(other), s] : [s, graph.constant(other)];
          return scaled(graph, graph.apply(where, [positive, yes, no]));
        })(graph, inputs);
      };
    for (const other of [-Infinity, -1e9, -3])
      for (const isHidden of [false, true]) {
        const after = await optimized(shapes, chosen(other, isHidden));
        expect(names(after).at(-1)).toBe(only[0]);
        expect(names(after)).not.toContain("Softmax");
      }
  });

  test("a constant mask of what lies behind each query is an attribute", async () => {
    for (const offset of [0, 1, 3]) {
      const after = await optimized(
        heads,
        written((graph, s) => graph.apply(add, [scaled(graph, s), graph.constant(lower(-Infinity, offset))])),
      );
      expect(names(after)).toEqual(only);
      expect(attributesOf(after)).toMatchObject({ causal: "offset", offset });
    }
    const lowest = await optimized(
      heads,
      written((graph, s) => graph.apply(add, [s, graph.constant(lower(-3.4028234663852886e38))])),
    );
    expect(attributesOf(lowest)).toMatchObject({ causal: "offset", offset: 0 });
    const chosen = await optimized(
      heads,
      written((graph, s) => graph.apply(where, [graph.constant(seen(1)), s, graph.constant(-Infinity)])),
    );
    expect(names(chosen)).toEqual(only);
    expect(attributesOf(chosen)).toMatchObject({ causal: "offset", offset: 1 });
    // A finite number in all of a query's scores: an ordinary mean, which only the mask itself can say.
    const finite = await optimized(
      heads,
      written((graph, s) => graph.apply(add, [s, graph.constant(lower(-3.4028234663852886e38, -2))])),
    );
    expect(attributesOf(finite)).toMatchObject({ causal: "none" });
    const moderate = await optimized(
      heads,
      written((graph, s) => graph.apply(add, [s, graph.constant(lower(-5))])),
    );
    expect(attributesOf(moderate)).toMatchObject({ causal: "none" });
  });

  test("a Softmax of matrices, as older operator sets have it", async () => {
    const after = await optimized(heads, (graph, { q, k, v }) => {
      const scores = scaled(graph, graph.apply(matMul, [q, swapped(graph, k!)]));
      const rows = graph.apply(softmax, [shaped(graph, scores, [B * H * L, S])]);
      return graph.apply(matMul, [shaped(graph, rows, [B, H, L, S]), v]);
    });
    expect(names(after)).toEqual(only);
    const otherRows = await optimized({ ...heads, k: heads.q, v: heads.q }, (graph, { q, k, v }) => {
      const scores = graph.apply(transpose, [graph.apply(matMul, [q, swapped(graph, k!)])], { perm: [0, 2, 1, 3] });
      const rows = graph.apply(softmax, [shaped(graph, scores, [B * H * L, L])]);
      return graph.apply(matMul, [shaped(graph, rows, [B, H, L, L]), v]);
    });
    expect(names(otherRows)).not.toContain(only[0]);
  });

  test("soft caps, and PyTorch's zeros for queries that see nothing", async () => {
    const capped = await optimized(
      heads,
      written((graph, s) => {
        const squeezed = graph.apply(tanh, [graph.apply(div, [scaled(graph, s), graph.constant(2)])]);
        return graph.apply(add, [graph.apply(mul, [squeezed, graph.constant(2)]), graph.constant(lower(-Infinity))]);
      }),
    );
    expect(names(capped)).toEqual(only);
    expect(attributesOf(capped)["softcap"]).toBe(2);
    const zeroed = await optimized(heads, (graph, { q, k, v }) => {
      const scores = graph.apply(matMul, [q, swapped(graph, k!)]);
      const weights = graph.apply(softmax, [graph.apply(add, [scores, graph.constant(lower(-Infinity, -2))])]);
      const isNaN = graph.apply(isNan, [weights]);
      return graph.apply(matMul, [graph.apply(where, [isNaN, graph.constant(0), weights]), v]);
    });
    expect(names(zeroed)).toEqual(only);
    expect(attributesOf(zeroed)["unseen"]).toBe("zero");
  });

  test("transposes that split and merge heads go", async () => {
    const shapes = { q: [B, L, H * D], k: [B, S, H * D], v: [B, S, H * D] };
    const after = await optimized(shapes, (graph, { q, k, v }) => {
      const split = (x: Value, perm: readonly number[]): Value =>
        graph.apply(transpose, [shaped(graph, x, [B, x.shape[1]!, H, D])], { perm });
      const scores = graph.apply(matMul, [split(q!, [0, 2, 1, 3]), split(k!, [0, 2, 3, 1])]);
      const weights = graph.apply(softmax, [scaled(graph, scores)]);
      const y = graph.apply(matMul, [weights, split(v!, [0, 2, 1, 3])]);
      return shaped(graph, graph.apply(transpose, [y], { perm: [0, 2, 1, 3] }), [B, L, H * D]);
    });
    expect(names(after).filter((name) => name !== "Reshape")).toEqual(only);
  });

  test("batch and heads as one axis, with the mask in between", async () => {
    const shapes = { q: [L, B, H * D], k: [S, B, H * D], v: [S, B, H * D], mask: [B, 1, 1, S] };
    const after = await optimized(shapes, (graph, { q, k, v, mask }) => {
      const split = (x: Value): Value =>
        graph.apply(transpose, [shaped(graph, x, [x.shape[0]!, B * H, D])], { perm: [1, 0, 2] });
      const scores = graph.apply(matMul, [scaled(graph, split(q!)), swapped(graph, split(k!))]);
      const masked = graph.apply(add, [shaped(graph, scores, [B, H, L, S]), mask]);
      const weights = graph.apply(softmax, [shaped(graph, masked, [B * H, L, S])]);
      const y = graph.apply(transpose, [graph.apply(matMul, [weights, split(v!)])], { perm: [1, 0, 2] });
      return shaped(graph, y, [L, B, H * D]);
    });
    expect(names(after).filter((name) => name !== "Reshape")).toEqual(only);
    const merged = await optimized(heads, (graph, { q, k, v }) => {
      const flat = (x: Value): Value => shaped(graph, x, [B * H, x.shape[2]!, D]);
      const scores = graph.apply(matMul, [flat(q!), swapped(graph, flat(k!))]);
      const y = graph.apply(matMul, [graph.apply(softmax, [scores]), flat(v!)]);
      return graph.apply(transpose, [shaped(graph, y, [B, H, L, D])], { perm: [0, 2, 1, 3] });
    });
    expect(names(merged).filter((name) => name !== "Reshape")).toEqual(only);
  });

  test("matrices, channels first, and shared key heads", async () => {
    expect(names(await optimized({ q: [L, D], k: [S, D], v: [S, D] }, written())).at(-1)).toMatch(/Reshape|Scaled/);
    const channels = await optimized({ q: [B, H, D, L], k: [B, H, D, S], v: [B, H, D, S] }, (graph, { q, k, v }) => {
      const scores = graph.apply(matMul, [swapped(graph, q!), k]);
      return graph.apply(matMul, [v, swapped(graph, graph.apply(softmax, [scaled(graph, scores)]))]);
    });
    expect(names(channels)).toEqual(only);
    const shared = await optimized({ q: [B, 6, L, D], k: [B, 3, S, D], v: [B, 3, S, D] }, (graph, { q, k, v }) => {
      const copies = (x: Value): Value => {
        const wide = graph.apply(expand, [shaped(graph, x, [B, 3, 1, S, D])], { shape: [B, 3, 2, S, D] });
        return shaped(graph, wide, [B, 6, S, D]);
      };
      return written(scaled)(graph, { q: q!, k: copies(k!), v: copies(v!) });
    });
    expect(names(shared).filter((name) => name !== "Reshape")).toEqual(only);
  });

  test.each<[string, Build]>([
    ["a Softmax along the queries", written(scaled, -2)],
    [
      "weights masked behind the Softmax",
      (graph, { q, k, v }) => {
        const scores = graph.apply(matMul, [q, swapped(graph, k!)]);
        const weights = graph.apply(mul, [graph.apply(softmax, [scores]), graph.constant(lower(1))]);
        return graph.apply(matMul, [weights, v]);
      },
    ],
    [
      "weights that are an output, too",
      (graph, { q, k, v }) => {
        const weights = graph.apply(softmax, [graph.apply(matMul, [q, swapped(graph, k!)])]);
        return [graph.apply(matMul, [weights, v]), weights];
      },
    ],
    [
      "scores that something else reads",
      (graph, { q, k, v }) => {
        const scores = scaled(graph, graph.apply(matMul, [q, swapped(graph, k!)]));
        return [graph.apply(matMul, [graph.apply(softmax, [scores]), v]), graph.apply(exp, [scores])];
      },
    ],
    ["a factor of its own for each key", written((graph, s) => graph.apply(mul, [s, graph.constant(tensor([S], 9))]))],
    [
      "a finite mask and another behind it",
      written((graph, s) => {
        const chosen = graph.apply(where, [graph.constant(seen(0)), s, graph.constant(-7)]);
        return graph.apply(add, [chosen, graph.constant(tensor([S], 9))]);
      }),
    ],
    [
      "scores that stretch",
      (graph, { q, k, v }) => {
        const scores = graph.apply(matMul, [q, swapped(graph, k!)]); // [B, H, L, S]
        const more = graph.apply(add, [scores, graph.constant(tensor([2, 1, 1, 1, 1], 9))]);
        return graph.apply(matMul, [graph.apply(softmax, [more]), v]);
      },
    ],
    ["a difference from the scores", written((graph, s) => graph.apply(sub, [graph.constant(1), s]))],
    [
      "keys joined behind the Softmax",
      (graph, { q, k, v }) => {
        const weights = graph.apply(softmax, [graph.apply(matMul, [q, swapped(graph, k!)])]);
        return graph.apply(matMul, [concatenate(graph, [weights, weights], -1), concatenate(graph, [v!, v!], -2)]);
      },
    ],
  ])("%s: left as it is", async (_, build) => {
    expect(names(await optimized(heads, build))).not.toContain(only[0]);
  });
});
