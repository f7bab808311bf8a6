// The network of this demo, the same in the page and in Node: LeNet's plan (LeCun et al., "Gradient-Based Learning Applied
// to Document Recognition", 1998) with rectifiers, max pooling and dropout. 28 × 28 pixels in, ten scores out.

import { Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, initialize, sequential, type Sequential } from "neurite";

/** Of the optimizer (AdamW): more than its default suits so short a training. */
export const WEIGHT_DECAY = 0.05;

export interface Network {
  readonly net: Sequential;
  /** The one whose weights can be looked at as pictures. */
  readonly firstLayer: Conv2d;
}

/** A fresh network; the same seed gives the same weights. */
export function createNetwork(seed: number): Network {
  const firstLayer = new Conv2d(1, 8, 5, { padding: 2 }); // [N, 1, 28, 28] → [N, 8, 28, 28]
  const net = sequential(
    firstLayer,
    new ReLU(),
    new MaxPool2d(2),
    new Conv2d(8, 16, 5), // [N, 8, 14, 14] → [N, 16, 10, 10]
    new ReLU(),
    new MaxPool2d(2),
    new Flatten(),
    new Dropout(0.1),
    new Linear(16 * 5 * 5, 10),
  );
  initialize(net, seed);
  return { net, firstLayer };
}
