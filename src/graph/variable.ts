// A variable is a tensor that outlives a run: a weight, a running statistic, an optimizer's moment. This object is only
// its identity and its starting contents; an engine keeps the current contents where it computes.

import type { DType } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";
import type { TensorData } from "../core/tensorData.ts";

export class Variable {
  readonly dtype: DType;
  readonly shape: Shape;

  constructor(
    /** Path of the variable in its model, e.g. `0.weight`. Set once the model is assembled. */
    public name: string,
    /** Contents before the first run, and after every read-back. */
    public data: TensorData,
    /** Whether optimizers change it. */
    readonly trainable = true,
  ) {
    this.dtype = data.dtype;
    this.shape = data.shape;
  }
}
