// Random tensors. With a seed a node draws the same numbers in every run; without one its key is a variable of the plan that
// starts anywhere and steps on with every run.

import type { DType } from "../../../core/dtype.ts";
import { tensorData } from "../../../core/tensorData.ts";
import { Graph } from "../../../graph/graph.ts";
import { Variable } from "../../../graph/variable.ts";
import { add } from "../../../ops/binary.ts";
import type { Operand } from "../../../ops/operator.ts";
import { bernoulli, multinomial, randomNormal, randomUniform } from "../../../ops/random.ts";
import type { Call, Handler, Handlers } from "../handler.ts";

const key = (seed: number, step: number) => tensorData([seed >>> 0, step], [2], "uint32");

/** The key (seed, step) a node draws with. */
function keyOf(call: Call): Operand {
  const { build } = call;
  if (call.attribute("seed")) {
    const [word] = new Uint32Array(Float32Array.of(call.float("seed", 0)).buffer);
    return build.constant(key(word!, 0));
  }
  const seed = Math.floor(Math.random() * 2 ** 32);
  if (!(build instanceof Graph)) return build.constant(key(seed, 0));
  const variable = new Variable(`${call.node.outputs[0] ?? ""}.key`, key(seed, 0), false);
  const current = build.variable(variable);
  build.update(variable, build.apply(add, [current, build.constant(key(0, 1))]));
  return current;
}

/** What every operator here that is told its shape takes. */
function drawn(call: Call, like?: Operand): { readonly dtype: DType; readonly shape: readonly number[] } {
  return { dtype: call.dtype("dtype", like?.dtype ?? "float32"), shape: like?.shape ?? call.ints("shape") ?? [] };
}

const uniform =
  (isLike: boolean): Handler =>
  (call) =>
    call.build.apply(randomUniform, [keyOf(call)], {
      ...drawn(call, isLike ? call.operand(0) : undefined),
      high: call.float("high", 1),
      low: call.float("low", 0),
    });

const normal =
  (isLike: boolean): Handler =>
  (call) =>
    call.build.apply(randomNormal, [keyOf(call)], {
      ...drawn(call, isLike ? call.operand(0) : undefined),
      mean: call.float("mean", 0),
      scale: call.float("scale", 1),
    });

export const random: Handlers = {
  Bernoulli: (call) => {
    const input = call.operand(0);
    return call.build.apply(bernoulli, [input, keyOf(call)], { dtype: call.dtype("dtype", input.dtype) });
  },
  Multinomial: (call) =>
    call.build.apply(multinomial, [call.operand(0), keyOf(call)], {
      dtype: call.dtype("dtype", "int32"),
      sample_size: call.int("sample_size", 1),
    }),
  RandomNormal: normal(false),
  RandomNormalLike: normal(true),
  RandomUniform: uniform(false),
  RandomUniformLike: uniform(true),
};
