// Optimizers are pure functions of symbolic tensors: parameter, gradient and state in, new parameter and new state out. The
// trainer appends them to the training graph, where each parameter's update fuses into one elementwise kernel that writes
// in place. What changes from step to step (learning rate, bias corrections) is computed on the host in float64 and reaches
// the GPU as scalar inputs: no new value ever compiles anything.

import { UsageError } from "../core/errors.ts";
import type { Tensor } from "../graph/tensor.ts";

/** A number, or a function of the step, which counts from 1. */
export type LearningRate = number | ((step: number) => number);

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** One parameter's turn. */
export interface Update {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  /** One tensor of the parameter's shape for each name in {@link Optimizer.state}; zeros before the first step. */
  readonly state: Tensors;
  /** The scalars of this step. */
  readonly scalars: Tensors;
}

/** What a trainer needs of an optimizer; write one like it for a rule of your own. */
export interface Optimizer {
  /** Used until the trainer's `learningRate` is set. */
  readonly learningRate: LearningRate;
  /** Names of the tensors it keeps beside each parameter. */
  readonly state: readonly string[];
  /** Scalars of step number `step` (from 1), in float64. The names must not depend on the arguments. */
  scalars(learningRate: number, step: number): Readonly<Record<string, number>>;
  /** The new parameter and the new state. */
  update(turn: Update): { readonly parameter: Tensor; readonly state: Tensors };
}

export interface SgdOptions {
  /** Default 0.01. */
  readonly lr?: LearningRate;
  /** In [0, 1). Default 0. */
  readonly momentum?: number;
  /** Look ahead along the momentum. Default false. */
  readonly nesterov?: boolean;
  /** L2 penalty: weightDecay · parameter is added to the gradient. Default 0. */
  readonly weightDecay?: number;
}

/**
 * Stochastic gradient descent, as PyTorch's `SGD` defines it (Sutskever et al., ICML 2013, for both kinds of momentum):
 * g ← g + weightDecay·w; b ← momentum·b + g; w ← w - lr·b, or with Nesterov w ← w - lr·(g + momentum·b).
 *
 * @example
 * const optimizer = sgd({ lr: 0.1, momentum: 0.9 });
 */
export function sgd({ lr = 0.01, momentum = 0, nesterov = false, weightDecay = 0 }: SgdOptions = {}): Optimizer {
  requireFraction("sgd", { momentum });
  requireNotNegative("sgd", { weightDecay });
  if (nesterov && momentum === 0) throw new UsageError("sgd: nesterov needs a momentum above 0");
  return {
    learningRate: lr,
    state: momentum === 0 ? [] : ["momentum"],
    scalars: (learningRate) => ({ lr: learningRate }),
    update({ parameter, gradient, state, scalars }) {
      const g = weightDecay === 0 ? gradient : gradient.add(parameter.mul(weightDecay));
      if (momentum === 0) return { parameter: parameter.sub(g.mul(scalars.lr!)), state: {} };
      const b = state.momentum!.mul(momentum).add(g);
      const direction = nesterov ? g.add(b.mul(momentum)) : b;
      return { parameter: parameter.sub(direction.mul(scalars.lr!)), state: { momentum: b } };
    },
  };
}

export interface AdamOptions {
  /** Default 0.001. */
  readonly lr?: LearningRate;
  /** Decay rates of the moments, in [0, 1). Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second moment. Default 1e-8. */
  readonly eps?: number;
  /** Default 0 for Adam (an L2 penalty in the gradient), 0.01 for AdamW (decoupled). */
  readonly weightDecay?: number;
}

/**
 * Adam (Kingma & Ba, ICLR 2015, arXiv:1412.6980, Algorithm 1), with PyTorch's `weightDecay` as an L2 penalty:
 * g ← g + weightDecay·w; m ← β₁m + (1-β₁)g; v ← β₂v + (1-β₂)g²; w ← w - lr·m̂/(√v̂ + ε), m̂ = m/(1-β₁ᵗ), v̂ = v/(1-β₂ᵗ).
 *
 * @example
 * const optimizer = adam({ lr: 1e-3 });
 */
export function adam({ weightDecay = 0, ...options }: AdamOptions = {}): Optimizer {
  requireNotNegative("adam", { weightDecay });
  return adamLike("adam", options, weightDecay, 0);
}

/**
 * AdamW (Loshchilov & Hutter, ICLR 2019, arXiv:1711.05101, Algorithm 2, with the decay scaled by the learning rate as in
 * PyTorch): Adam without the penalty in its gradient, and w ← w - lr·weightDecay·w beside its step.
 *
 * @example
 * const optimizer = adamW({ lr: 1e-3, weightDecay: 0.05 });
 */
export function adamW({ weightDecay = 0.01, ...options }: AdamOptions = {}): Optimizer {
  requireNotNegative("adamW", { weightDecay });
  return adamLike("adamW", options, 0, weightDecay);
}

// With c = √(1-β₂ᵗ), lr·m̂/(√v̂ + ε) is (lr·c/(1-β₁ᵗ))·m/(√v + c·ε): the corrections are two scalars, not two tensors.
function adamLike(
  who: string,
  { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8 }: Omit<AdamOptions, "weightDecay">,
  penalty: number,
  decoupledDecay: number,
): Optimizer {
  const [beta1, beta2] = betas;
  requireFraction(who, { "betas[0]": beta1, "betas[1]": beta2 });
  requireNotNegative(who, { eps });
  return {
    learningRate: lr,
    state: ["m", "v"],
    scalars(learningRate, step) {
      const correction = Math.sqrt(1 - beta2 ** step);
      return {
        stepSize: (learningRate * correction) / (1 - beta1 ** step),
        eps: eps * correction,
        ...(decoupledDecay === 0 ? {} : { decay: learningRate * decoupledDecay }),
      };
    },
    update({ parameter, gradient, state, scalars }) {
      const g = penalty === 0 ? gradient : gradient.add(parameter.mul(penalty));
      const m = state.m!.mul(beta1).add(g.mul(1 - beta1));
      const v = state.v!.mul(beta2).add(g.mul(g).mul(1 - beta2));
      const step = m.mul(scalars.stepSize!).div(v.sqrt().add(scalars.eps!));
      const decayed = scalars.decay ? parameter.sub(parameter.mul(scalars.decay)) : parameter;
      return { parameter: decayed.sub(step), state: { m, v } };
    },
  };
}

/** The learning rate of a step. Throws {@link UsageError} unless it is a finite number of at least 0. */
export function learningRateAt(learningRate: LearningRate, step: number): number {
  const value = typeof learningRate === "number" ? learningRate : learningRate(step);
  if (!Number.isFinite(value) || value < 0)
    throw new UsageError(`learning rate: expected a finite number, 0 or more, got ${value} at step ${step}`);
  return value;
}

function requireFraction(who: string, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values))
    if (!(value >= 0 && value < 1)) throw new UsageError(`${who}: ${name} must be in [0, 1), got ${value}`);
}

function requireNotNegative(who: string, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values))
    if (!(value >= 0 && value < Infinity)) throw new UsageError(`${who}: ${name} must be at least 0, got ${value}`);
}
