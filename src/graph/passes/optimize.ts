// The optimisations that matter for imported models, where graphs come as exporters wrote them: normalisation as loose
// arithmetic, layout changes around every convolution. Each is a pass of its own and can be left out; what a pass does is
// right for every graph, so a model gives the same results, within its error bounds, with any of them switched off.

import type { Graph } from "../graph.ts";
import { eliminate } from "./eliminate.ts";
import { fold } from "./fold.ts";
import { foldScale } from "./foldScale.ts";
import { recognizeNormalizations } from "./normalizations.ts";
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
}

/** The graph after all passes that are not left out. */
export function optimize(graph: Graph, options: OptimizeOptions = {}): Graph {
  const { foldScale: scales = true, transposes = true, normalizations = true, scatters = true } = options;
  let result = eliminate(fold(eliminate(graph)));
  if (scatters) result = eliminate(resolveScatters(result));
  if (transposes) result = eliminate(fold(removeTransposes(result)));
  if (normalizations) result = eliminate(recognizeNormalizations(result));
  if (scales) result = eliminate(foldScale(result));
  return result;
}
