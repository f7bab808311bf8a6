// The network of this demo, the same in the page and in Node: two convolutions of 5 × 5 that halve the picture with their
// stride, as in the first network that learned to read digits from pixels (LeCun et al., "Backpropagation Applied to
// Handwritten Zip Code Recognition", 1989), with rectifiers and dropout. 28 × 28 pixels in, ten scores out.

import { Conv2d, Dropout, Flatten, Linear, ReLU, initialize, sequential, type Sequential } from "neurite";

export interface Network {
  readonly net: Sequential;
  /** The one whose weights can be looked at as pictures. */
  readonly firstLayer: Conv2d;
}

/** A fresh network; the same seed gives the same weights. */
export function createNetwork(seed: number): Network {
  const firstLayer = new Conv2d(1, 8, 5, { padding: 2, stride: 2 }); // [N, 1, 28, 28] → [N, 8, 14, 14]
  const net = sequential(
    firstLayer,
    new ReLU(),
    new Conv2d(8, 16, 5, { padding: 2, stride: 2 }), // [N, 8, 14, 14] → [N, 16, 7, 7]
    new ReLU(),
    new Flatten(),
    new Dropout(0.3),
    new Linear(16 * 7 * 7, 10),
  );
  initialize(net, seed);
  return { net, firstLayer };
}
