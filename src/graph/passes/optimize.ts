// The optimisations that matter for imported models, where graphs come as exporters wrote them: normalisation as loose
// arithmetic, layout changes around every convolution. Each is a pass of its own and can be left out; what a pass does is
// right for every graph, so a model gives the same results, within its error bounds, with any of them switched off.

import { pacer } from "../../core/pause.ts";
import type { Graph } from "../graph.ts";
import { recognizeActivations } from "./activations.ts";
import { recognizeAttention } from "./attention.ts";
import { eliminate } from "./eliminate.ts";
import { fold } from "./fold.ts";
import { foldScale } from "./foldScale.ts";
import { recognizeNormalizations } from "./normalizations.ts";
import { scaleProducts } from "./quantizedWeights.ts";
import { resolveScatters } from "./scatters.ts";
import { removeTransposes } from "./transposes.ts";

/** Which passes an imported graph goes through. */
export interface OptimizeOptions {
  /** Factors and shifts per channel behind a convolution or product become part of its weights. Default true. */
  readonly foldScale?: boolean;
  /** Transposes that cancel or that a product can read through go away. Default true. */
  readonly transposes?: boolean;
  /** Scatters to constant places become gathers. Default true. */
  readonly scatters?: boolean;
  /** Written-out normalisations become one kernel each. Default true. */
  readonly normalizations?: boolean;
  /** Written-out Gelu, Swish, Sigmoid, Mish and HardSwish become one operator each. Default true. */
  readonly activations?: boolean;
  /** Written-out attention becomes one operator, whose kernels keep the scores to themselves. Default true. */
  readonly attention?: boolean;
  /** Scales of dequantized weights follow the products, so that the weights stay whole numbers. Default true. */
  readonly quantizedWeights?: boolean;
}

/** The graph after all passes that are not left out. It pauses between passes, so that a page stays alive. */
export async function optimize(graph: Graph, options: OptimizeOptions = {}, signal?: AbortSignal): Promise<Graph> {
  const { foldScale: scales = true, transposes = true, normalizations = true, scatters = true } = options;
  const { activations = true, attention = true, quantizedWeights = true } = options;
  const passes = [
    eliminate,
    ...(quantizedWeights ? [scaleProducts] : []),
    fold,
    eliminate,
    ...(scatters ? [resolveScatters, eliminate] : []),
    ...(transposes ? [removeTransposes, fold, eliminate] : []),
    ...(normalizations ? [recognizeNormalizations, eliminate] : []),
    ...(activations ? [recognizeActivations, eliminate] : []),
    ...(attention ? [recognizeAttention, eliminate] : []),
    ...(scales ? [foldScale, eliminate] : []),
    fold,
    eliminate,
  ];
  const pause = pacer(signal);
  let result = graph;
  for (const pass of passes) {
    result = pass(result);
    await pause();
  }
  return result;
}
