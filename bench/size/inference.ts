// The page that `npm run size` weighs: LeNet-5, built from layers, compiled and run once on the GPU. It imports what such a
// page needs and nothing else; size.ts waits for the ten scores before it counts what was loaded.

import { Conv2d, createEngine, Flatten, Linear, MaxPool2d, ReLU, sequential } from "neurite";

const lenet = sequential(
  new Conv2d(1, 6, 5, { padding: 2 }),
  new ReLU(),
  new MaxPool2d(2),
  new Conv2d(6, 16, 5),
  new ReLU(),
  new MaxPool2d(2),
  new Flatten(),
  new Linear(16 * 5 * 5, 120),
  new ReLU(),
  new Linear(120, 84),
  new ReLU(),
  new Linear(84, 10),
);

const engine = await createEngine();
const model = await engine.compile((image) => ({ scores: lenet.forward(image) }), { image: [1, 1, 28, 28] });
const { scores } = await model.run({ image: new Float32Array(28 * 28).fill(0.5) });
Object.assign(globalThis, { neuriteScores: Array.from(scores?.data ?? []) });
