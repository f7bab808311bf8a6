// Training on the CPU reference: optimizers against their published formulas in float64 and against sequences worked out by
// hand, losses and metrics against sums written out here, and what a fit promises (order, seeds, signals, failures).

import { beforeAll, describe, expect, test } from "vitest";
import {
  accuracy,
  adam,
  adamW,
  arrayDataset,
  constant,
  createEngine,
  crossEntropy,
  DivergenceError,
  Dropout,
  initialize,
  Linear,
  Module,
  mse,
  ones,
  Parameter,
  sequential,
  sgd,
  ShapeError,
  Tanh,
  tensorData,
  Trainer,
  UsageError,
  type Dataset,
  type Engine,
  type FitEvent,
  type Initializer,
  type Loss,
  type Optimizer,
  type Tensor,
} from "../../src/index.ts";
import { Random } from "../../src/core/random.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ backend: "cpu" });
});

/** x·w elementwise. With {@link total} for a loss, the gradient of w is x: examples are gradients. */
class Product extends Module {
  readonly w: Parameter;
  constructor(size: number, initializer: Initializer) {
    super();
    this.w = new Parameter([size], initializer);
  }
  override forward(x: Tensor): Tensor {
    return x.mul(this.w.tensor(x.graph));
  }
}

const total: Loss = (prediction) => prediction.sum();

/** w after each step with the given gradients, [step][element]. */
async function descend(
  optimizer: Optimizer,
  start: Initializer,
  gradients: readonly (readonly number[])[],
): Promise<number[][]> {
  const size = gradients[0]!.length;
  const net = new Product(size, start);
  using trainer = new Trainer(engine, net, { loss: total, optimizer });
  const weights: number[][] = [];
  for (const gradient of gradients) {
    const dataset = arrayDataset({ x: Float32Array.from(gradient), xShape: [size], y: new Float32Array(1) });
    await collect(trainer.fit(dataset, { epochs: 1, batchSize: 1 }));
    await trainer.sync();
    weights.push([...net.w.data.data]);
  }
  return weights;
}

const random = new Random(11);
const GRADIENTS = Array.from({ length: 12 }, () => Array.from({ length: 5 }, () => 2 * random.uniform() - 1));
const START = [1, -0.5, 0.25, -2, 0.75];
const start: Initializer = () => Float32Array.from(START);

type Rule = (w: number, g: number, t: number, state: { m: number; v: number }) => number;

/** Each element on its own, in float64. */
function formula(rule: Rule): number[][] {
  const states = START.map((w) => ({ w, m: 0, v: 0 }));
  return GRADIENTS.map((gradient, step) =>
    states.map((state, i) => {
      state.w = rule(state.w, Math.fround(gradient[i]!), step + 1, state);
      return state.w;
    }),
  );
}

const adamRule =
  (lr: number, [beta1, beta2]: readonly [number, number], eps: number): Rule =>
  (w, g, t, state) => {
    state.m = beta1 * state.m + (1 - beta1) * g;
    state.v = beta2 * state.v + (1 - beta2) * g * g;
    const mHat = state.m / (1 - beta1 ** t);
    const vHat = state.v / (1 - beta2 ** t);
    return w - (lr * mHat) / (Math.sqrt(vHat) + eps);
  };

const momentumRule =
  (lr: number, momentum: number, nesterov: boolean): Rule =>
  (w, g, _, state) => {
    state.m = momentum * state.m + g;
    return w - lr * (nesterov ? g + momentum * state.m : state.m);
  };

describe("optimizers follow their formulas", () => {
  const betas = [0.8, 0.95] as const;
  const cases: [name: string, optimizer: Optimizer, rule: Rule][] = [
    ["sgd", sgd({ lr: 0.1 }), (w, g) => w - 0.1 * g],
    ["sgd with weight decay", sgd({ lr: 0.1, weightDecay: 0.2 }), (w, g) => w - 0.1 * (g + 0.2 * w)],
    ["sgd with momentum", sgd({ lr: 0.1, momentum: 0.9 }), momentumRule(0.1, 0.9, false)],
    ["sgd with Nesterov momentum", sgd({ lr: 0.1, momentum: 0.9, nesterov: true }), momentumRule(0.1, 0.9, true)],
    ["adam", adam({ lr: 0.05 }), adamRule(0.05, [0.9, 0.999], 1e-8)],
    ["adam, other constants", adam({ lr: 0.05, betas, eps: 0.01 }), adamRule(0.05, betas, 0.01)],
    [
      "adam with weight decay",
      adam({ lr: 0.05, weightDecay: 0.3 }),
      (w, g, t, state) => adamRule(0.05, [0.9, 0.999], 1e-8)(w, g + 0.3 * w, t, state),
    ],
    [
      "adamW",
      adamW({ lr: 0.05, weightDecay: 0.3 }),
      (w, g, t, state) => adamRule(0.05, [0.9, 0.999], 1e-8)(w - 0.05 * 0.3 * w, g, t, state),
    ],
    ["a schedule", sgd({ lr: (step) => 1 / (step + 1) }), (w, g, t) => w - g / (t + 1)],
  ];
  // Weights and moments are stored as float32 and scalars arrive as such: some 2⁻²² of what moves in each of 12 steps.
  const bound = GRADIENTS.length * 2 ** -22;
  test.each(cases)("%s", async (_, optimizer, rule) => {
    const expected = formula(rule);
    const actual = await descend(optimizer, start, GRADIENTS);
    actual.forEach((weights, step) => {
      weights.forEach((w, i) => {
        expect(Math.abs(w - expected[step]![i]!), `step ${step + 1}, element ${i}`).toBeLessThan(
          bound * (1 + Math.abs(expected[step]![i]!)),
        );
      });
    });
  });
});

describe("optimizers, worked out by hand", () => {
  const walk = async (optimizer: Optimizer, gradients: number[]): Promise<number[]> =>
    (
      await descend(
        optimizer,
        ones,
        gradients.map((g) => [g]),
      )
    ).map(([w]) => Number(w!.toFixed(6)));

  test("a constant slope moves Adam by lr a step, whatever its size", async () => {
    expect(await walk(adam({ lr: 0.1 }), [0.5, 0.5, 0.5])).toEqual([0.9, 0.8, 0.7]);
    expect(await walk(adam({ lr: 0.1 }), [-1e-3])).toEqual([1.099999]); // ε is 1e-5 of this slope
  });
  test("AdamW shrinks the weight first: 1·0.95 - 0.1, then 0.85·0.95 - 0.1", async () => {
    expect(await walk(adamW({ lr: 0.1, weightDecay: 0.5 }), [0.5, 0.5])).toEqual([0.85, 0.7075]);
  });
  test("momentum 0.9 with slope 1 goes by 1, 1.9, 2.71", async () => {
    expect(await walk(sgd({ lr: 0.1, momentum: 0.9 }), [1, 1, 1])).toEqual([0.9, 0.71, 0.439]);
  });
  test("Nesterov looks ahead: by 1.9, then 2.71", async () => {
    expect(await walk(sgd({ lr: 0.1, momentum: 0.9, nesterov: true }), [1, 1])).toEqual([0.81, 0.539]);
  });
  test("refuse constants that make no sense", () => {
    expect(() => sgd({ momentum: 1 })).toThrow(UsageError);
    expect(() => sgd({ nesterov: true })).toThrow(UsageError);
    expect(() => adam({ betas: [0.9, 1] })).toThrow("betas[1]");
    expect(() => adamW({ weightDecay: -1 })).toThrow(UsageError);
  });
});

describe("losses and metrics", () => {
  const evaluate = async (loss: Loss, prediction: number[], target: Float32Array | Uint32Array, columns: number) => {
    const rows = prediction.length / columns;
    const yShape = target.length === rows ? [] : [columns];
    const dataset = arrayDataset({ x: Float32Array.from(prediction), xShape: [columns], y: target, yShape });
    using trainer = new Trainer(engine, new Product(columns, ones), { loss, optimizer: sgd() });
    return await trainer.evaluate(dataset);
  };

  test("crossEntropy is -log of the label's share, with accuracy beside it", async () => {
    const { loss, accuracy: right } = await evaluate(
      crossEntropy(),
      [0, Math.log(3), Math.log(4), 0],
      Uint32Array.of(1, 1),
      2,
    );
    expect(loss).toBeCloseTo(-(Math.log(3 / 4) + Math.log(1 / 5)) / 2, 6);
    expect(right).toBe(0.5);
    const sum = await evaluate(crossEntropy({ reduction: "sum" }), [0, 0, 0, 0], Uint32Array.of(0, 1), 2);
    expect(sum.loss).toBeCloseTo(2 * Math.log(2), 6);
  });

  test("mse", async () => {
    expect((await evaluate(mse(), [1, 2, 3, 4], Float32Array.of(0, 0, 0, 0), 2)).loss).toBe(7.5);
    expect((await evaluate(mse({ reduction: "sum" }), [1, 2, 3, 4], Float32Array.of(0, 0, 0, 0), 2)).loss).toBe(30);
    await expect(evaluate(mse(), [1, 2, 3, 4], Float32Array.of(0, 0), 2)).rejects.toThrow(ShapeError);
  });

  test("of equal scores the first class counts, and NaN never does", async () => {
    const model = await engine.compile((x, y) => accuracy(x, y), { x: [4, 3], y: { shape: [4], dtype: "uint32" } });
    const x = [1, 1, 0, 0, 2, 2, 5, 4, 3, NaN, 1, 0];
    const right = async (...labels: number[]): Promise<number> =>
      (await model.run({ x, y: Uint32Array.from(labels) })).y!.data[0]!;
    expect(await right(0, 1, 0, 0)).toBe(3);
    expect(await right(1, 2, 1, 1)).toBe(0);
    model.dispose();
  });
});

const XOR = arrayDataset({ x: Float32Array.of(0, 0, 0, 1, 1, 0, 1, 1), xShape: [2], y: Uint32Array.of(0, 1, 1, 0) });

/** Three clouds of points in the plane, not overlapping. */
function blobs(count: number, seed: number): Dataset {
  const draw = new Random(seed);
  const y = Uint32Array.from({ length: count }, (_, i) => i % 3);
  const x = new Float32Array(2 * count);
  y.forEach((label, i) => {
    x[2 * i] = Math.cos((2 * Math.PI * label) / 3) + 0.2 * draw.normal();
    x[2 * i + 1] = Math.sin((2 * Math.PI * label) / 3) + 0.2 * draw.normal();
  });
  return arrayDataset({ x, xShape: [2], y });
}

const mlp = (seed: number, outputs = 2): Module => {
  const net = sequential(new Linear(2, 16), new Tanh(), new Linear(16, outputs));
  initialize(net, seed);
  return net;
};

async function collect(events: AsyncIterable<FitEvent>): Promise<FitEvent[]> {
  const all: FitEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

describe("fit", () => {
  test("learns XOR, and predicts it", async () => {
    using trainer = new Trainer(engine, mlp(1), { loss: crossEntropy(), optimizer: adam({ lr: 0.05 }), seed: 1 });
    await collect(trainer.fit(XOR, { epochs: 100, batchSize: 4 }));
    const { loss, accuracy: right } = await trainer.evaluate(XOR);
    expect(right).toBe(1);
    expect(loss).toBeLessThan(0.1);
    const scores = await trainer.predict(tensorData([0, 1], [1, 2]));
    expect(scores.shape).toEqual([1, 2]);
    expect(scores.data[1]).toBeGreaterThan(scores.data[0]!);
  });

  test("learns blobs and holds on examples it has not seen", async () => {
    using trainer = new Trainer(engine, mlp(2, 3), {
      loss: crossEntropy(),
      optimizer: sgd({ lr: 0.2, momentum: 0.9 }),
    });
    const events = await collect(trainer.fit(blobs(150, 1), { epochs: 4, batchSize: 16, validation: blobs(60, 2) }));
    const last = events.at(-1)!;
    expect(last).toMatchObject({ type: "epoch", epoch: 4, step: 40, steps: 40 });
    expect(last.type === "epoch" && last.validation!.accuracy).toBeGreaterThan(0.95);
  });

  test("yields every step in order, then the epoch", async () => {
    using trainer = new Trainer(engine, mlp(1), { loss: crossEntropy(), optimizer: adam() });
    const kept = await collect(trainer.fit(blobs(10, 1), { epochs: 2, batchSize: 4 }));
    expect(kept.map(({ type, epoch, step, steps }) => [type, epoch, step, steps])).toEqual([
      ["step", 1, 1, 6],
      ["step", 1, 2, 6],
      ["step", 1, 3, 6],
      ["epoch", 1, 3, 6],
      ["step", 2, 4, 6],
      ["step", 2, 5, 6],
      ["step", 2, 6, 6],
      ["epoch", 2, 6, 6],
    ]);
    expect(kept.every(({ examplesPerSecond, etaMs }) => examplesPerSecond > 0 && etaMs >= 0)).toBe(true);
    expect(kept.at(-1)!.etaMs).toBe(0);
    const [first, second, third, epoch] = kept;
    expect(epoch!.loss).toBeCloseTo((4 * first!.loss + 4 * second!.loss + 2 * third!.loss) / 10, 6);
    const dropped = await collect(trainer.fit(blobs(10, 1), { epochs: 1, batchSize: 4, dropLast: true }));
    expect(dropped.length).toBe(3);
    expect(trainer.steps).toBe(8);
  });

  test("a new learning rate counts from the next step and compiles nothing", async () => {
    const net = new Product(1, ones);
    using trainer = new Trainer(engine, net, { loss: total, optimizer: sgd({ lr: 0.5 }) });
    const slope = arrayDataset({ x: Float32Array.of(1), xShape: [1], y: new Float32Array(1) });
    await collect(trainer.fit(slope, { epochs: 1, batchSize: 1 }));
    const plan = trainer.stepPlan;
    trainer.learningRate = 0.25;
    const [step] = await collect(trainer.fit(slope, { epochs: 1, batchSize: 1 }));
    expect(step!.learningRate).toBe(0.25);
    expect(trainer.stepPlan).toBe(plan);
    await trainer.sync();
    expect(net.w.data.data[0]).toBe(0.25);
    trainer.learningRate = NaN;
    await expect(collect(trainer.fit(slope, { epochs: 1, batchSize: 1 }))).rejects.toThrow(UsageError);
  });

  test("a signal ends it with its reason, after whole steps", async () => {
    const net = mlp(1);
    using trainer = new Trainer(engine, net, { loss: crossEntropy(), optimizer: adam() });
    const abort = new AbortController();
    const reason = new Error("enough");
    const seen: number[] = [];
    const fitting = (async () => {
      for await (const { step } of trainer.fit(blobs(64, 1), { epochs: 9, batchSize: 4, signal: abort.signal })) {
        seen.push(step);
        if (step === 5) abort.abort(reason);
      }
    })();
    await expect(fitting).rejects.toBe(reason);
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    // The steps that were under way have been carried out in full: as many steps of another trainer give the same weights.
    await trainer.sync();
    const twin = mlp(1);
    using follower = new Trainer(engine, twin, { loss: crossEntropy(), optimizer: adam() });
    const steps = follower.fit(blobs(64, 1), { epochs: 9, batchSize: 4 });
    while (follower.steps < trainer.steps) await steps.next();
    await steps.return();
    await follower.sync();
    expect(follower.steps).toBe(trainer.steps);
    expect(twin.stateDict()).toEqual(net.stateDict());
    // It can go on.
    await collect(trainer.fit(blobs(8, 1), { epochs: 1, batchSize: 4 }));
    const aborted = trainer.fit(XOR, { epochs: 1, batchSize: 4, signal: AbortSignal.abort(reason) });
    await expect(collect(aborted)).rejects.toBe(reason);
  });

  test("a loss that is not finite is an error that names the step; restore goes back", async () => {
    const net = mlp(1);
    using trainer = new Trainer(engine, net, { loss: crossEntropy(), optimizer: sgd({ lr: 0.1 }) });
    await collect(trainer.fit(XOR, { epochs: 3, batchSize: 4 }));
    await trainer.sync();
    const good = net.stateDict();
    const { loss: lossBefore } = await trainer.evaluate(XOR);
    const bad = arrayDataset({ x: Float32Array.of(0, NaN), xShape: [2], y: Uint32Array.of(1) });
    const failure = await collect(trainer.fit(bad, { epochs: 1, batchSize: 1 })).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DivergenceError);
    expect(failure).toMatchObject({ step: 4, loss: NaN });
    expect((await trainer.evaluate(XOR)).loss).toBeNaN();
    trainer.restore();
    expect(trainer.steps).toBe(3);
    expect((await trainer.evaluate(XOR)).loss).toBe(lossBefore);
    await trainer.sync();
    expect(net.stateDict()).toEqual(good);
  });

  test("the same seed gives the same weights, another one others", async () => {
    const run = async (seed: number): Promise<unknown> => {
      const net = sequential(new Linear(2, 8), new Dropout(0.3), new Linear(8, 3));
      initialize(net, 5);
      using trainer = new Trainer(engine, net, { loss: crossEntropy(), optimizer: adam(), seed });
      await collect(trainer.fit(blobs(30, 1), { epochs: 2, batchSize: 8 }));
      await trainer.sync();
      return net.stateDict();
    };
    const first = await run(1);
    expect(await run(1)).toEqual(first);
    expect(await run(2)).not.toEqual(first);
  });

  test("refuses what makes no sense", async () => {
    using trainer = new Trainer(engine, mlp(1), { loss: crossEntropy(), optimizer: adam() });
    const fit = (options: { epochs: number; batchSize: number; dropLast?: boolean }): Promise<unknown> =>
      collect(trainer.fit(XOR, options));
    await expect(fit({ epochs: 0, batchSize: 4 })).rejects.toThrow(UsageError);
    await expect(fit({ epochs: 1, batchSize: 1.5 })).rejects.toThrow(UsageError);
    await expect(fit({ epochs: 1, batchSize: 5, dropLast: true })).rejects.toThrow("lower batchSize");
    const running = trainer.fit(XOR, { epochs: 1, batchSize: 2 });
    await running.next();
    await expect(fit({ epochs: 1, batchSize: 4 })).rejects.toThrow("fitting already");
    await running.return();
    trainer.dispose();
    await expect(fit({ epochs: 1, batchSize: 4 })).rejects.toThrow("disposed");
    using vector = new Trainer(engine, mlp(1), { loss: (prediction) => prediction, optimizer: adam() });
    await expect(collect(vector.fit(XOR, { epochs: 1, batchSize: 4 }))).rejects.toThrow("must be a scalar");
    const hidden = new Parameter([2], ones);
    class Hiding extends Module {
      override forward(x: Tensor): Tensor {
        return x.mul(hidden.tensor(x.graph));
      }
    }
    using hiding = new Trainer(engine, new Hiding(), { loss: total, optimizer: adam() });
    await expect(collect(hiding.fit(XOR, { epochs: 1, batchSize: 4 }))).rejects.toThrow(
      "no property of a module holds",
    );
  });

  test("verify passes on a training step and leaves the weights alone", async () => {
    const net = mlp(1);
    const before = net.stateDict();
    using trainer = new Trainer(engine, net, { loss: crossEntropy(), optimizer: adamW() });
    const batch = await XOR.batch(Uint32Array.of(0, 1, 2, 3));
    expect((await trainer.verify(batch)).passed).toBe(true);
    expect((await trainer.profile(batch, { repeats: 1 })).steps!.length).toBe(trainer.stepPlan!.steps.length);
    await trainer.sync();
    expect(net.stateDict()).toEqual(before);
  });
});

describe("dropout", () => {
  const P = 0.25;
  /** What dropout made of 4,000 ones, in each of two steps and in evaluation; lr 0 keeps everything else still. */
  const masks = async (
    seed: number,
    net: Module = sequential(new Dropout(P), new Product(1, ones)),
  ): Promise<number[]> => {
    const dataset = arrayDataset({ x: new Float32Array(4000).fill(1), xShape: [4000, 1], y: new Float32Array(1) });
    using trainer = new Trainer(engine, net, {
      loss: (prediction) => prediction.mean(),
      optimizer: sgd({ lr: 0 }),
      seed,
    });
    const losses = (await collect(trainer.fit(dataset, { epochs: 2, batchSize: 1 }))).filter(
      ({ type }) => type === "step",
    );
    return [...losses.map(({ loss }) => loss), (await trainer.evaluate(dataset)).loss];
  };

  test("differs between steps, repeats with the seed, keeps the mean, and is off in evaluation", async () => {
    const [first, second, evaluation] = await masks(1);
    expect(evaluation).toBe(1);
    expect(second).not.toBe(first);
    expect(await masks(1)).toEqual([first, second, 1]);
    expect(await masks(2)).not.toEqual([first, second, 1]);
    // Kept elements are 1/(1-p): a mean of 1 with standard deviation √(p/(1-p)/n) = 0.009; five of those.
    for (const loss of [first!, second!]) expect(Math.abs(loss - 1)).toBeLessThan(0.046);
  });

  test("two layers draw different masks", async () => {
    // One layer keeps 75% as 1/0.75; two equal masks would give a mean of 1/0.75, independent ones 1.
    const [loss] = await masks(1, sequential(new Dropout(P), new Dropout(P), new Product(1, ones)));
    expect(Math.abs(loss! - 1)).toBeLessThan(0.07);
  });

  test("a frozen part drops nothing", async () => {
    expect(await masks(1, sequential(new Dropout(P).eval(), new Product(1, ones)))).toEqual([1, 1, 1]);
  });
});

test("runs that overlap on the CPU reference are carried out in order, even long ones", async () => {
  // Regression: a run that paused for timers let the next one overwrite its inputs. 200×200×200 takes more than one pause.
  const model = await engine.compile((x, w) => x.matmul(w).matmul(w).matmul(w), { x: [200, 200], w: [200, 200] });
  const identity = Float32Array.from({ length: 200 * 200 }, (_, i) => (i % 201 === 0 ? 1 : 0));
  const x = new Float32Array(200 * 200);
  const runs = [1, 2, 3].map((value) => {
    x.fill(value);
    return model.run({ x, w: identity });
  });
  const results = await Promise.all(runs);
  expect(results.map(({ y }) => y!.data[777])).toEqual([1, 2, 3]);
  model.dispose();
});

test("constant() fills", () => {
  expect(constant(3)([2], new Random(1))).toEqual(Float32Array.of(3, 3));
});
