// How parameters get their first values. An initializer is a function of a shape and of a random stream of its own, so
// that a parameter's values depend on nothing but its seed and its place in the network.

import type { Random } from "../core/random.ts";
import { sizeOf, type Shape } from "../core/shape.ts";

/** Draws the elements of a parameter of `shape`, row-major. */
export type Initializer = (shape: Shape, random: Random) => Float32Array;

/**
 * How many inputs reach one output of a weight [out, in, …kernel], and how many outputs one input reaches: extents of
 * the kernel multiply both. A vector counts as [1, n].
 */
function fans(shape: Shape): { readonly fanIn: number; readonly fanOut: number } {
  const [out, input, kernel] =
    shape.length < 2 ? [1, shape[0] ?? 1, 1] : [shape[0]!, shape[1]!, sizeOf(shape.slice(2))];
  return { fanIn: Math.max(1, input * kernel), fanOut: Math.max(1, out * kernel) };
}

/** Every element 0. */
export const zeros: Initializer = (shape) => new Float32Array(sizeOf(shape));

/** Every element 1. */
export const ones: Initializer = (shape) => new Float32Array(sizeOf(shape)).fill(1);

/** Every element `value`. */
export function constant(value: number): Initializer {
  return (shape) => new Float32Array(sizeOf(shape)).fill(value);
}

/** Uniform in [low, high). */
export function uniform(low: number, high: number): Initializer {
  return (shape, random) => draw(shape, () => low + (high - low) * random.uniform());
}

/** Normal with mean 0. */
export function normal(standardDeviation: number): Initializer {
  return (shape, random) => draw(shape, () => standardDeviation * random.normal());
}

/** Normal with variance 2 / fanIn: keeps a signal's size through ReLU layers. He et al. 2015, arXiv:1502.01852, eq. 10. */
export const heNormal: Initializer = (shape, random) => normal(Math.sqrt(2 / fans(shape).fanIn))(shape, random);

/** Uniform with variance 2 / fanIn. He et al. 2015, arXiv:1502.01852. */
export const heUniform: Initializer = (shape, random) => symmetric(Math.sqrt(6 / fans(shape).fanIn))(shape, random);

/** Normal with variance 2 / (fanIn + fanOut), for tanh and sigmoid layers. Glorot & Bengio, AISTATS 2010, eq. 12. */
export const glorotNormal: Initializer = (shape, random) => {
  const { fanIn, fanOut } = fans(shape);
  return normal(Math.sqrt(2 / (fanIn + fanOut)))(shape, random);
};

/** Uniform with variance 2 / (fanIn + fanOut). Glorot & Bengio, AISTATS 2010, eq. 16. */
export const glorotUniform: Initializer = (shape, random) => {
  const { fanIn, fanOut } = fans(shape);
  return symmetric(Math.sqrt(6 / (fanIn + fanOut)))(shape, random);
};

function symmetric(bound: number): Initializer {
  return uniform(-bound, bound);
}

function draw(shape: Shape, next: () => number): Float32Array {
  return Float32Array.from({ length: sizeOf(shape) }, next);
}
