// What W13 loads as Neurite: what a page bundles whose network is the MLP of W8. Kernel families come in chunks of their own
// when a plan needs them, as they would anywhere.

export { createEngine } from "../../src/engine.ts";
export { Tensor } from "../../src/graph/tensor.ts";
export { relu } from "../../src/graph/functional.ts";
export { tensorData } from "../../src/core/tensorData.ts";
