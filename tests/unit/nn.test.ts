// Modules and layers: paths, names in plans, initial values, state, and values against sums written out here.

import { beforeAll, describe, expect, test } from "vitest";
import {
  AvgPool2d,
  Conv2d,
  createEngine,
  Dropout,
  Flatten,
  glorotUniform,
  heNormal,
  heUniform,
  initialize,
  Linear,
  MaxPool2d,
  Module,
  ones,
  Parameter,
  relu,
  ReLU,
  sequential,
  ShapeError,
  Sigmoid,
  summary,
  Tanh,
  tensorData,
  UsageError,
  Variable,
  filled,
  type Engine,
  type Shape,
  type Tensor,
} from "../../src/index.ts";
import { Random } from "../../src/core/random.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ backend: "cpu" });
});

class Block extends Module {
  readonly conv = new Conv2d(2, 2, 3, { padding: 1 });
  readonly gain = new Parameter([2, 1, 1], ones);

  override forward(x: Tensor): Tensor {
    return relu(this.conv.forward(x).mul(this.gain.tensor(x.graph)).add(x));
  }
}

class Net extends Module {
  readonly stem = new Conv2d(1, 2, 3);
  readonly blocks = [new Block(), new Block()];
  readonly head = sequential(new Flatten(), new Linear(2 * 4 * 4, 3));
  readonly counter = new Variable("counter", filled(0, []), false);

  override forward(x: Tensor): Tensor {
    return this.head.forward(this.blocks.reduce((value, block) => block.forward(value), this.stem.forward(x)));
  }
}

describe("Module", () => {
  test("paths are made of properties", () => {
    const net = new Net();
    expect(net.namedParameters().map(([path]) => path)).toEqual([
      "stem.weight",
      "stem.bias",
      "blocks.0.gain",
      "blocks.0.conv.weight",
      "blocks.0.conv.bias",
      "blocks.1.gain",
      "blocks.1.conv.weight",
      "blocks.1.conv.bias",
      "head.1.weight",
      "head.1.bias",
    ]);
    expect(net.namedModules().map(([path]) => path)).toEqual([
      "",
      "stem",
      "blocks.0",
      "blocks.0.conv",
      "blocks.1",
      "blocks.1.conv",
      "head",
      "head.0",
      "head.1",
    ]);
    expect(net.stateDict().has("counter")).toBe(true);
    expect(net.head.parameters()[0]!.name).toBe("1.weight");
    net.parameters();
    expect(net.head.parameters().map(({ shape }) => shape)).toEqual([[3, 32], [3]]);
  });

  test("a shared parameter is listed once, and modules that know each other end", () => {
    const shared = new Linear(2, 2);
    expect(
      sequential(shared, shared)
        .namedParameters()
        .map(([path]) => path),
    ).toEqual(["0.weight", "0.bias"]);
    const parent = sequential(shared);
    Object.assign(shared, { parent });
    expect(parent.parameters().length).toBe(2);
  });

  test("steps and variables of a plan carry paths", async () => {
    const model = await engine.compile((x) => new Net().forward(x), { x: [1, 1, 6, 6] });
    const names = model.plan.steps.flatMap((step) => (step.kind === "dispatch" ? [step.nodes[0]!.name] : []));
    expect(names.some((name) => name.startsWith("stem/Conv"))).toBe(true);
    expect(names.some((name) => name.startsWith("blocks/1/conv/Conv"))).toBe(true);
    expect(names.some((name) => name.startsWith("head/1/"))).toBe(true);
    const variables = model.plan.buffers.filter(({ kind }) => kind === "variable").map(({ name }) => name);
    expect(variables).toContain("blocks.1.conv.weight");
    model.dispose();
  });

  test("state goes out and in, and faults are all listed", () => {
    const [from, to] = [new Net(), new Net()];
    initialize(from, 1);
    initialize(to, 2);
    to.loadStateDict(from.stateDict());
    expect(to.stateDict()).toEqual(from.stateDict());
    const weight = to.stem.weight.data.data;
    weight[0] = 99;
    expect(from.stem.weight.data.data[0]).not.toBe(99);

    const state = from.stateDict();
    state.delete("stem.bias");
    state.set("stranger", filled(0, [1]));
    state.set("head.1.bias", filled(0, [4]));
    const load = (): void => to.loadStateDict(state);
    expect(load).toThrow(UsageError);
    expect(load).toThrow(
      /missing: stem\.bias; unexpected: stranger; .*head\.1\.bias \(expected float32 \[3\], got float32 \[4\]\)/,
    );
    expect(to.stem.weight.data.data[0]).toBe(99);
    expect(() => to.loadStateDict(state, { strict: false })).toThrow("head.1.bias");
    state.delete("head.1.bias");
    to.loadStateDict(state, { strict: false });
    expect(to.stem.weight.data.data[0]).not.toBe(99);
  });

  test("train and eval reach all modules below", () => {
    const net = new Net();
    expect(net.blocks[1]!.conv.training).toBe(true);
    expect(net.eval().blocks[1]!.conv.training).toBe(false);
    expect(net.train().head.training).toBe(true);
  });
});

describe("initial values", () => {
  test("are decided by the seed, and differ between parameters", () => {
    const nets = [1, 1, 2].map((seed) => {
      const net = sequential(new Linear(8, 8), new Linear(8, 8));
      initialize(net, seed);
      return net.stateDict();
    });
    expect(nets[1]).toEqual(nets[0]);
    expect(nets[2]).not.toEqual(nets[0]);
    expect(nets[0]!.get("0.weight")!.data).not.toEqual(nets[0]!.get("1.weight")!.data);
  });

  test("layers that nobody seeded differ", () => {
    expect(new Linear(4, 4).weight.data.data).not.toEqual(new Linear(4, 4).weight.data.data);
  });

  test("biases begin at 0, weights with He's variance", () => {
    const layer = new Conv2d(16, 64, 3);
    initialize(layer, 1);
    expect(layer.bias!.data.data.every((value) => value === 0)).toBe(true);
    expect(variance(layer.weight.data.data)).toBeCloseTo(2 / (16 * 9), 3);
  });

  // The variance of n draws of variance s² has a standard error of about s²·√(2/n): here 1%; 4% are four of those.
  const shape = [100, 50, 2, 2];
  const cases = [
    { name: "heNormal", initializer: heNormal, expected: 2 / 200 },
    { name: "heUniform", initializer: heUniform, expected: 2 / 200 },
    { name: "glorotUniform", initializer: glorotUniform, expected: 2 / (200 + 400) },
  ];
  test.each(cases)("$name has the variance of its paper", ({ initializer, expected }) => {
    const values = initializer(shape, new Random(5));
    expect(Math.abs(variance(values) / expected - 1)).toBeLessThan(0.04);
    expect(Math.abs(mean(values))).toBeLessThan(4 * Math.sqrt(expected / values.length));
  });
});

const mean = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
const variance = (values: ArrayLike<number>): number => {
  const middle = mean(values);
  return mean(Array.from(values, (value) => (value - middle) ** 2));
};

describe("layers", () => {
  const run = async (
    layer: Module,
    data: readonly number[],
    shape: Shape,
  ): Promise<{ shape: Shape; data: number[] }> => {
    const model = await engine.compile((x) => layer.forward(x), { x: shape });
    const { y } = await model.run({ x: data });
    model.dispose();
    return { shape: y!.shape, data: [...y!.data] };
  };

  test("Linear is x·Wᵀ + b for any rank", async () => {
    const layer = new Linear(2, 3);
    layer.weight.data = tensorData([1, 2, 3, 4, 5, 6], [3, 2]);
    layer.bias!.data = tensorData([10, 20, 30], [3]);
    expect(await run(layer, [1, -1], [1, 2])).toEqual({ shape: [1, 3], data: [9, 19, 29] });
    expect(await run(layer, [1, -1, 0, 1], [2, 1, 2])).toEqual({ shape: [2, 1, 3], data: [9, 19, 29, 12, 24, 36] });
    const plain = new Linear(2, 1, { bias: false, weightInitializer: ones });
    expect(plain.bias).toBeUndefined();
    expect(await run(plain, [1, 2], [1, 2])).toEqual({ shape: [1, 1], data: [3] });
  });

  test("Conv2d with stride, padding and groups", async () => {
    const layer = new Conv2d(2, 2, [1, 2], { groups: 2, stride: [1, 2], padding: [0, 1], weightInitializer: ones });
    layer.bias!.data = tensorData([100, 200], [2]);
    // Rows 1 2 3 4 and 5 6 7 8, zeros on both sides, windows of two side by side.
    expect(await run(layer, [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 1, 4])).toEqual({
      shape: [1, 2, 1, 3],
      data: [101, 105, 104, 205, 213, 208],
    });
  });

  test("pooling, flattening and activations", async () => {
    const image = [1, 2, 3, 4, -5, -6, -7, 8];
    expect(await run(new MaxPool2d(2), image, [1, 1, 2, 4])).toEqual({ shape: [1, 1, 1, 2], data: [2, 8] });
    expect(await run(new AvgPool2d(2), image, [1, 1, 2, 4])).toEqual({ shape: [1, 1, 1, 2], data: [-2, 2] });
    expect((await run(new Flatten(), image, [2, 1, 2, 2])).shape).toEqual([2, 4]);
    expect((await run(new ReLU(), [-1, 2], [2])).data).toEqual([0, 2]);
    expect((await run(new Tanh(), [0.5], [1])).data[0]).toBeCloseTo(Math.tanh(0.5), 6);
    expect((await run(new Sigmoid(), [0.5], [1])).data[0]).toBeCloseTo(1 / (1 + Math.exp(-0.5)), 6);
  });

  test("Dropout outside a training step is nothing at all", async () => {
    const model = await engine.compile((x) => new Dropout(0.9).forward(x), { x: [3] });
    expect(model.plan.steps.length).toBe(0);
    expect(Object.keys(model.plan.inputs)).toEqual(["x"]);
    model.dispose();
  });

  test("refuse what does not fit", async () => {
    expect(() => new Dropout(1)).toThrow(UsageError);
    expect(() => new Linear(0, 3)).toThrow(ShapeError);
    expect(() => new Conv2d(3, 4, 3, { groups: 2 })).toThrow(ShapeError);
    await expect(run(new Linear(3, 1), [1, 2], [1, 2])).rejects.toThrow("Linear: expected [.., 3], got [1, 2]");
  });
});

describe("summary", () => {
  test("counts LeNet-5 as its paper's modern form has it", () => {
    const lenet = sequential(
      new Conv2d(1, 6, 5, { padding: 2 }),
      new ReLU(),
      new MaxPool2d(2),
      new Conv2d(6, 16, 5),
      new ReLU(),
      new MaxPool2d(2),
      new Flatten(),
      new Linear(400, 120),
      new ReLU(),
      new Linear(120, 84),
      new ReLU(),
      new Linear(84, 10),
    );
    const report = summary(lenet, [1, 1, 28, 28]);
    expect(report.parameters).toBe(61_706);
    expect(report.layers.map(({ path }) => path)).toEqual(lenet.layers.map((_, i) => String(i)));
    expect(report.layers[3]).toMatchObject({
      type: "Conv2d",
      outputShape: [1, 16, 10, 10],
      parameters: 16 * 6 * 25 + 16,
    });
    // Multiply-adds of the product, and one addition a bias.
    expect(report.layers[7]!.flops).toBe(2 * 400 * 120 + 120);
    expect(String(report)).toMatch(/total +61,706/);
  });

  test("work outside layers is counted where it is done, shared parameters once", () => {
    class Twice extends Module {
      readonly layer = new Linear(4, 4, { bias: false });
      override forward(x: Tensor): Tensor {
        return this.layer.forward(this.layer.forward(x)).add(x);
      }
    }
    const { layers, parameters } = summary(sequential(new Twice()), [2, 4]);
    expect(parameters).toBe(16);
    expect(layers.map(({ path, parameters: own, flops }) => [path, own, flops])).toEqual([
      ["0.layer", 16, 64],
      ["0.layer", 0, 64],
      ["0", 0, 8],
    ]);
  });
});
