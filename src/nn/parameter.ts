// A parameter is a variable that knows how it is drawn. Its values are drawn when something first reads them: a network
// whose weights are loaded from a file never draws any.

import { Random } from "../core/random.ts";
import { checkShape, type Shape } from "../core/shape.ts";
import type { TensorData } from "../core/tensorData.ts";
import type { Graph } from "../graph/graph.ts";
import { Tensor } from "../graph/tensor.ts";
import { Variable } from "../graph/variable.ts";
import type { Initializer } from "./initializers.ts";

/** Random streams of parameters that nobody has seeded: one each, in the order they are made. */
let nextStream = 0;
const DEFAULT_SEED = 0;

class DrawnData implements TensorData {
  readonly dtype = "float32";
  private drawn: Float32Array | undefined;

  constructor(
    readonly shape: Shape,
    private readonly draw: () => Float32Array,
  ) {}

  get data(): Float32Array {
    return (this.drawn ??= this.draw());
  }
}

/**
 * A trainable float32 tensor of a {@link Module}. Until `initialize` seeds it, it draws from a stream numbered by how many
 * parameters the program made before it: the same program gives the same values.
 *
 * @example
 * class Scale extends Module {
 *   gain = new Parameter([64], ones);
 *   forward(x: Tensor) { return x.mul(this.gain.tensor(x.graph)); }
 * }
 */
export class Parameter extends Variable {
  constructor(
    shape: Shape,
    private readonly initializer: Initializer,
    trainable = true,
  ) {
    checkShape(shape, "Parameter");
    const stream = nextStream++;
    super(
      "parameter",
      new DrawnData([...shape], () => initializer(shape, new Random(DEFAULT_SEED, stream))),
      trainable,
    );
  }

  /** Its value in a graph being traced, e.g. `this.gain.tensor(x.graph)`. */
  tensor(graph: Graph): Tensor {
    return new Tensor(graph, graph.variable(this));
  }

  /** Forgets its values; the next reader draws new ones from (seed, stream). */
  redraw(seed: number, stream: number): void {
    const { shape, initializer } = this;
    this.data = new DrawnData(shape, () => initializer(shape, new Random(seed, stream)));
  }
}
