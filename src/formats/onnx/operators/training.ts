// Training as nodes of a model (ai.onnx.preview.training): optimizers as the arithmetic they are, and Gradient, which
// differentiates the graph that stands before it.

import { gradients } from "../../../autodiff/gradients.ts";
import { UsageError } from "../../../core/errors.ts";
import { Graph, Value } from "../../../graph/graph.ts";
import { asType } from "../../../ops/asType.ts";
import { add, div, greater, mul, sub } from "../../../ops/binary.ts";
import { reduceSum } from "../../../ops/reduce.ts";
import type { Builder, Operand } from "../../../ops/operator.ts";
import { pow } from "../../../ops/pow.ts";
import { scalar } from "../../../ops/scalar.ts";
import { sqrt } from "../../../ops/unary.ts";
import { where } from "../../../ops/where.ts";
import type { Call, Handler, Handlers } from "../handler.ts";

/** Arithmetic of operands and numbers. */
interface Arithmetic {
  readonly add: (a: Operand, b: Operand | number) => Operand;
  readonly sub: (a: Operand | number, b: Operand) => Operand;
  readonly mul: (a: Operand, b: Operand | number) => Operand;
  readonly div: (a: Operand, b: Operand) => Operand;
  readonly sqrt: (a: Operand) => Operand;
  readonly build: Builder;
}

function arithmetic(build: Builder): Arithmetic {
  const operand = (value: Operand | number, like: Operand): Operand =>
    typeof value === "number" ? scalar(build, value, like) : value;
  return {
    build,
    add: (a, b) => build.apply(add, [a, operand(b, a)]),
    sub: (a, b) => build.apply(sub, [operand(a, b), b]),
    mul: (a, b) => build.apply(mul, [a, operand(b, a)]),
    div: (a, b) => build.apply(div, [a, b]),
    sqrt: (a) => build.apply(sqrt, [a]),
  };
}

/** What an optimizer's rule gets: learning rate R and number of updates T before this one, both scalars of X's type. */
interface Step extends Arithmetic {
  readonly call: Call;
  readonly R: Operand;
  readonly T: Operand;
}

/** The rule of one tensor X with gradient G and states; returns the new X and the new states. */
type Rule = (step: Step, X: Operand, G: Operand, states: readonly Operand[]) => readonly Operand[];

/** Inputs R, T, all X, all G, all of each state; outputs all X, then all of each state. */
const optimizer =
  (states: number, rule: Rule): Handler =>
  (call) => {
    const { build } = call;
    const inputs = call.operands() as Operand[];
    const kinds = 2 + states;
    const count = (inputs.length - 2) / kinds;
    if (!Number.isInteger(count) || count < 1)
      throw call.malformed(`expected R, T and ${kinds} inputs a tensor, got ${inputs.length}`);
    const results = Array.from({ length: count }, (_, i) => {
      const [X, G, ...held] = Array.from({ length: kinds }, (_, kind) => inputs[2 + kind * count + i]!);
      const [R, T] = inputs.map((input) => asType(build, input, X!.dtype));
      return rule({ ...arithmetic(build), call, R: R!, T: T! }, X!, G!, held);
    });
    return Array.from({ length: count * (1 + states) }, (_, i) => results[i % count]![Math.floor(i / count)]!);
  };

/** G + norm_coefficient · X: the gradient with that of the L2 penalty. */
function regularized({ call, add, mul }: Step, X: Operand, G: Operand): Operand {
  return add(mul(X, call.float("norm_coefficient", 0)), G);
}

/** `later` where updates have been made, `first` at T = 0. */
function unlessFirst({ build, T }: Step, later: Operand, first: Operand): Operand {
  return build.apply(where, [build.apply(greater, [T, scalar(build, 0, T)]), later, first]);
}

const adagrad: Rule = (step, X, G, [H]) => {
  const { call, R, T, add, sub, mul, div, sqrt } = step;
  const rate = div(R, add(mul(T, call.float("decay_factor", 0)), 1));
  const g = regularized(step, X, G);
  const h = add(H!, mul(g, g));
  return [sub(X, div(mul(g, rate), add(sqrt(h), call.float("epsilon", 1e-6)))), h];
};

const adam: Rule = (step, X, G, [V, H]) => {
  const { build, call, R, T, add, sub, mul, div, sqrt } = step;
  const alpha = call.float("alpha", 0.9);
  const beta = call.float("beta", 0.999);
  const g = regularized(step, X, G);
  const v = add(mul(V!, alpha), mul(g, 1 - alpha));
  const h = add(mul(H!, beta), mul(mul(g, g), 1 - beta));
  const power = (base: number): Operand => build.apply(pow, [scalar(build, base, T), T]);
  const corrected = div(mul(R, sqrt(sub(1, power(beta)))), sub(1, power(alpha)));
  const rate = unlessFirst(step, corrected, R);
  const moved = sub(X, mul(div(v, add(sqrt(h), call.float("epsilon", 1e-6))), rate));
  return [mul(moved, 1 - call.float("norm_coefficient_post", 0)), v, h];
};

const momentum: Rule = (step, X, G, [V]) => {
  const { build, call, R, add, sub, mul } = step;
  const alpha = call.float("alpha", 0);
  const g = regularized(step, X, G);
  const beta = unlessFirst(step, scalar(build, call.float("beta", 0), X), scalar(build, 1, X));
  const v = add(mul(V!, alpha), mul(g, beta));
  const direction = call.string("mode", "standard") === "nesterov" ? add(g, mul(v, alpha)) : v;
  return [sub(X, mul(direction, R)), v];
};

/**
 * The gradients of Σ y with respect to `xs`, where `y` was computed from them by earlier nodes of the same graph; zeros for
 * those it does not depend on.
 */
function gradientsOf(build: Builder, y: Operand, xs: readonly Operand[]): readonly Operand[] {
  if (!(build instanceof Graph)) throw new UsageError("Gradient: there is no graph to differentiate");
  const loss = y.shape.length === 0 ? y : build.apply(reduceSum, [y], { keepdims: 0 });
  return gradients(build, valueOf(loss), xs.map(valueOf));
}

function valueOf(operand: Operand): Value {
  if (operand instanceof Value) return operand;
  throw new UsageError("Gradient: an operand is not a value of a graph");
}

/**
 * Gradient: inputs are the values of `xs`, then of `zs`, which stay as they
 * are. Only the point the graph itself was built for is differentiated at, so inputs must bear the names in `xs` and `zs`.
 */
const gradient: Handler = (call) => {
  const xs = call.strings("xs") ?? [];
  const names = [...xs, ...(call.strings("zs") ?? [])];
  names.forEach((name, i) => {
    const given = call.node.inputs[i] ?? "";
    if (given !== name) throw call.unsupported(`input ${i} is "${given}": only the gradient at "${name}" is computed`);
  });
  return gradientsOf(
    call.build,
    call.named(call.string("y", "")),
    xs.map((_, i) => call.operand(i)),
  );
};

const DOMAIN = "ai.onnx.preview.training";

export const training: Handlers = {
  [`${DOMAIN}::Adagrad`]: optimizer(1, adagrad),
  [`${DOMAIN}::Adam`]: optimizer(2, adam),
  [`${DOMAIN}::Gradient`]: gradient,
  [`${DOMAIN}::Momentum`]: optimizer(1, momentum),
};
