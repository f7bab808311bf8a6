// The layers: each checks its extents, owns its parameters and applies one operator. Weights are laid out as in PyTorch, so
// its checkpoints load by name.

import { ShapeError, UsageError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import {
  avgPool2d,
  conv2d,
  flatten,
  maxPool2d,
  relu,
  sigmoid,
  tanh,
  type Conv2dOptions,
  type Pair,
  type Pool2dOptions,
} from "../graph/functional.ts";
import { apply, type Tensor } from "../graph/tensor.ts";
import { dropout } from "../ops/dropout.ts";
import { gemm } from "../ops/gemm.ts";
import { matMul } from "../ops/matmul.ts";
import { heNormal, zeros, type Initializer } from "./initializers.ts";
import { Module } from "./module.ts";
import { Parameter } from "./parameter.ts";
import { trainingOf } from "./tracing.ts";

/** How a layer with weights is made. */
export interface WeightOptions {
  /** Add a learned bias. Default true. */
  readonly bias?: boolean;
  /** Default {@link heNormal}. */
  readonly weightInitializer?: Initializer;
  /** Default zeros, as in He et al. 2015, section 2.2 (PyTorch draws from ±1/√fanIn instead). */
  readonly biasInitializer?: Initializer;
}

/**
 * y = x·Wᵀ + b over the last axis. x [.., inFeatures] → [.., outFeatures]; weight [outFeatures, inFeatures], bias
 * [outFeatures]. ONNX Gemm; MatMul and Add for a rank other than 2. Throws ShapeError when x has another last extent.
 *
 * @example
 * const logits = new Linear(84, 10).forward(x); // [N, 84] → [N, 10]
 */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;

  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    { bias = true, weightInitializer = heNormal, biasInitializer = zeros }: WeightOptions = {},
  ) {
    super();
    requirePositive("Linear", { inFeatures, outFeatures });
    this.weight = new Parameter([outFeatures, inFeatures], weightInitializer);
    this.bias = bias ? new Parameter([outFeatures], biasInitializer) : undefined;
  }

  override forward(x: Tensor): Tensor {
    const { inFeatures } = this;
    if (x.shape.at(-1) !== inFeatures)
      throw new ShapeError(`Linear: expected [.., ${inFeatures}], got ${formatShape(x.shape)}`);
    const weight = this.weight.tensor(x.graph);
    const bias = this.bias?.tensor(x.graph);
    if (x.shape.length === 2) return apply(gemm, bias ? [x, weight, bias] : [x, weight], { transB: 1 });
    const product = apply(matMul, [x, weight], { transB: 1 });
    return bias ? product.add(bias) : product;
  }
}

/**
 * 2-D convolution (cross-correlation). x [N, inChannels, H, W] → [N, outChannels, outH, outW]; weight
 * [outChannels, inChannels / groups, kH, kW], bias [outChannels]. ONNX Conv. Throws ShapeError when x does not fit.
 *
 * @example
 * const y = new Conv2d(1, 6, 5, { padding: 2 }).forward(x); // [N, 1, 28, 28] → [N, 6, 28, 28]
 */
export class Conv2d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;
  private readonly options: Conv2dOptions;

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    readonly kernelSize: Pair,
    options: Conv2dOptions & WeightOptions = {},
  ) {
    super();
    const { bias = true, weightInitializer = heNormal, biasInitializer = zeros, ...convolution } = options;
    const { groups = 1 } = convolution;
    requirePositive("Conv2d", { inChannels, outChannels, groups });
    if (inChannels % groups !== 0 || outChannels % groups !== 0)
      throw new ShapeError(
        `Conv2d: ${inChannels} input and ${outChannels} output channels do not divide by ${groups} groups`,
      );
    const [kH, kW] = typeof kernelSize === "number" ? [kernelSize, kernelSize] : kernelSize;
    requirePositive("Conv2d", { "kernel height": kH, "kernel width": kW });
    this.options = convolution;
    this.weight = new Parameter([outChannels, inChannels / groups, kH, kW], weightInitializer);
    this.bias = bias ? new Parameter([outChannels], biasInitializer) : undefined;
  }

  override forward(x: Tensor): Tensor {
    return conv2d(x, this.weight.tensor(x.graph), this.bias?.tensor(x.graph), this.options);
  }
}

/** 2-D max pooling, by default with windows side by side. x [N, C, H, W] → [N, C, outH, outW]. ONNX MaxPool. */
export class MaxPool2d extends Module {
  constructor(
    readonly kernelSize: Pair,
    readonly options: Pool2dOptions = {},
  ) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return maxPool2d(x, this.kernelSize, this.options);
  }
}

/** 2-D average pooling; padding counts as zeros. x [N, C, H, W] → [N, C, outH, outW]. ONNX AveragePool. */
export class AvgPool2d extends Module {
  constructor(
    readonly kernelSize: Pair,
    readonly options: Omit<Pool2dOptions, "dilation"> = {},
  ) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return avgPool2d(x, this.kernelSize, this.options);
  }
}

/** Merges all axes from `axis` on: [N, C, H, W] → [N, C·H·W] by default. */
export class Flatten extends Module {
  constructor(readonly axis = 1) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return flatten(x, this.axis);
  }
}

/** max(x, 0). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return relu(x);
  }
}

/** Hyperbolic tangent. */
export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return tanh(x);
  }
}

/** 1 / (1 + e⁻ˣ). */
export class Sigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return sigmoid(x);
  }
}

/**
 * In a training step every element becomes 0 with probability `p`, and the others are divided by 1 - p; in evaluation the
 * identity. Each call in a step draws from a random stream of its own. Srivastava et al., JMLR 15 (2014).
 * Throws UsageError unless 0 ≤ p < 1.
 */
export class Dropout extends Module {
  constructor(readonly p = 0.5) {
    super();
    if (!(p >= 0 && p < 1)) throw new UsageError(`Dropout: p must be in [0, 1), got ${p}`);
  }

  override forward(x: Tensor): Tensor {
    const training = this.training ? trainingOf(x.graph) : undefined;
    if (!training || this.p === 0) return x;
    const { key, stream } = training.randomness();
    return apply(dropout, [x, key], { ratio: this.p, stream, training_mode: 1 });
  }
}

/** Layers one after another; their parameters are `0.weight`, `2.bias` … */
export class Sequential extends Module {
  constructor(readonly layers: readonly Module[]) {
    super();
  }

  override forward(x: Tensor): Tensor {
    return this.layers.reduce((value, layer) => layer.forward(value), x);
  }

  protected override properties(): Iterable<[name: string, value: unknown]> {
    return this.layers.map((layer, i) => [String(i), layer]);
  }
}

/**
 * A network of layers one after another.
 *
 * @example
 * const net = sequential(new Linear(2, 8), new Tanh(), new Linear(8, 1));
 */
export function sequential(...layers: Module[]): Sequential {
  return new Sequential(layers);
}

function requirePositive(who: string, extents: Readonly<Record<string, number>>): void {
  for (const [name, extent] of Object.entries(extents))
    if (!Number.isInteger(extent) || extent < 1)
      throw new ShapeError(`${who}: ${name} must be a positive integer, got ${extent}`);
}
