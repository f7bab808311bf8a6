// What a layer can ask of the graph it is traced into: whether this is a training step, and its randomness. The answer is
// kept beside the graph, not in the layer, so the same network is traced for training and for evaluation at once.

import { Tensor } from "../graph/tensor.ts";
import type { Graph } from "../graph/graph.ts";

/** Name of the uint32 [2] input (seed, step) of a training graph that draws random numbers. */
export const RANDOM_KEY = "randomKey";

class Training {
  private key: Tensor | undefined;
  private streams = 0;

  constructor(private readonly graph: Graph) {}

  /** The key and a stream number that no other call got: layers get 0, 1, 2 … in the order they are traced. */
  randomness(): { readonly key: Tensor; readonly stream: number } {
    this.key ??= new Tensor(this.graph, this.graph.input(RANDOM_KEY, { dtype: "uint32", shape: [2] }));
    return { key: this.key, stream: this.streams++ };
  }
}

const trainings = new WeakMap<Graph, Training>();

/** Declares `graph` a training step: layers traced into it behave as in training. All other graphs are evaluations. */
export function markTraining(graph: Graph): void {
  trainings.set(graph, new Training(graph));
}

/** Access to a training step's randomness; undefined in an evaluation. */
export function trainingOf(graph: Graph): Training | undefined {
  return trainings.get(graph);
}
