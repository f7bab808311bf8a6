// What the libraries are asked to do: shapes, seeded data and float64 references, shared by the page (data) and by Node
// (references, and the ONNX models in models.ts). References are written here on their own, so that no library, Neurite
// included, is judged by its own code.

export type Arrays = Readonly<Record<string, Float32Array>>;
/** Row-major numbers of any precision. */
type Numbers = Float32Array | Float64Array;

export interface ChainStep {
  readonly op: "mul" | "add" | "sub" | "abs";
  readonly c?: number;
}

/** The sizes of a workload, handed to adapters as `p`. */
export interface Sizes {
  readonly [name: string]: unknown;
}

export interface Workload {
  /** `W1.512`: family, and row where a family has several. */
  readonly id: string;
  readonly what: string;
  readonly p: Sizes;
  /** Of one run. Rates are shown in GFLOP/s where there is one … */
  readonly flops?: number;
  /** … else in GB/s of the fewest bytes that must move. */
  readonly bytes?: number;
  /** Dispatches of a run that does nothing else. */
  readonly dispatches?: number;
  /** What the device itself can do: no library's workload. */
  readonly isCeiling?: boolean;
  /** A run must start from the host's input array. */
  readonly e2e?: boolean;
  /** How many consecutive results make up what is verified (training keeps a state). Default 1. */
  readonly runs?: number;
  readonly generate: (random: () => number) => Arrays;
  readonly reference?: (data: Arrays) => Float64Array;
}

/** A small seeded generator of uniform numbers in [0, 1). */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

type Random = () => number;
const uniform = (random: Random, count: number, scale = 1): Float32Array =>
  Float32Array.from({ length: count }, () => (random() * 2 - 1) * scale);
/** Weights whose products with unit inputs have unit variance. */
const weights = (random: Random, count: number, fanIn: number): Float32Array =>
  uniform(random, count, Math.sqrt(3 / fanIn));

/** a [M, K] · b [K, N] + bias [N]. */
function matmul(a: Numbers, b: Numbers, M: number, K: number, N: number, bias?: Numbers): Float64Array {
  const y = new Float64Array(M * N);
  for (let i = 0; i < M; i++) {
    const row = y.subarray(i * N, i * N + N);
    if (bias) row.set(bias);
    for (let k = 0; k < K; k++) {
      const value = a[i * K + k]!;
      if (value === 0) continue;
      for (let j = 0; j < N; j++) row[j]! += value * b[k * N + j]!;
    }
  }
  return y;
}

interface ConvSizes extends Sizes {
  readonly N: number;
  readonly C: number;
  readonly H: number;
  readonly W: number;
  readonly O: number;
  readonly k: number;
  readonly pad: number;
  readonly groups: number;
}

/** x [N, C, H, W], w [O, C/groups, k, k], stride 1. */
function convolve(x: Numbers, w: Numbers, sizes: ConvSizes, bias?: Numbers): Float64Array {
  const { N, C, H, W, O, k, pad, groups } = sizes;
  const outH = H + 2 * pad - k + 1;
  const outW = W + 2 * pad - k + 1;
  const inputs = C / groups;
  const y = new Float64Array(N * O * outH * outW);
  for (let n = 0; n < N; n++)
    for (let o = 0; o < O; o++) {
      const at = (n * O + o) * outH * outW;
      const first = Math.floor(o / (O / groups)) * inputs;
      if (bias) y.fill(bias[o]!, at, at + outH * outW);
      for (let c = 0; c < inputs; c++)
        for (let kh = 0; kh < k; kh++)
          for (let kw = 0; kw < k; kw++) {
            const weight = w[((o * inputs + c) * k + kh) * k + kw]!;
            const plane = (n * C + first + c) * H * W;
            for (let i = 0; i < outH; i++) {
              const h = i + kh - pad;
              if (h < 0 || h >= H) continue;
              const end = Math.min(outW, W + pad - kw);
              for (let j = Math.max(0, pad - kw); j < end; j++)
                y[at + i * outW + j]! += weight * x[plane + h * W + j + kw - pad]!;
            }
          }
    }
  return y;
}

/** x [planes, H, W] → [planes, H/2, W/2]. */
function maxPool2(x: Float64Array, planes: number, H: number, W: number): Float64Array {
  const y = new Float64Array(planes * (H >> 1) * (W >> 1));
  let out = 0;
  for (let plane = 0; plane < planes; plane++)
    for (let i = 0; i + 1 < H; i += 2)
      for (let j = 0; j + 1 < W; j += 2) {
        const at = (plane * H + i) * W + j;
        y[out++] = Math.max(x[at]!, x[at + 1]!, x[at + W]!, x[at + W + 1]!);
      }
  return y;
}

const relu = (x: Float64Array): Float64Array => x.map((value) => Math.max(value, 0));
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Applies `f` to each of `rows` rows of `columns`. */
function byRow(
  x: Numbers,
  rows: number,
  columns: number,
  f: (row: Float64Array, out: Float64Array) => void,
): Float64Array {
  const y = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const begin = i * columns;
    f(Float64Array.from(x.subarray(begin, begin + columns)), y.subarray(begin, begin + columns));
  }
  return y;
}

function softmaxRow(x: Float64Array, y: Float64Array): void {
  const largest = x.reduce((a, b) => Math.max(a, b), -Infinity);
  y.set(x.map((value) => Math.exp(value - largest)));
  const sum = y.reduce((a, b) => a + b, 0);
  for (let j = 0; j < y.length; j++) y[j]! /= sum;
}

/** W12: 100 elementwise operations in turn. */
const chain: readonly ChainStep[] = Array.from({ length: 100 }, (_, i) => {
  const kinds: readonly ChainStep[] = [
    { op: "mul", c: Math.fround(0.9 + 0.002 * i) },
    { op: "add", c: Math.fround(0.3 - 0.005 * i) },
    { op: "abs" },
    { op: "sub", c: Math.fround(0.25 + 0.003 * i) },
  ];
  return kinds[i % 4]!;
});

const ceiling = (
  id: string,
  what: string,
  rate: { readonly flops?: number; readonly bytes?: number; readonly dispatches?: number },
): Workload => ({ id, what: `device: ${what}`, p: {}, isCeiling: true, generate: () => ({}), ...rate });

const squareMatmul = (n: number): Workload => ({
  id: `W1.${n}`,
  what: `matmul ${n}³`,
  flops: 2 * n ** 3,
  p: { n },
  generate: (random) => ({ a: uniform(random, n * n), b: uniform(random, n * n) }),
  reference: ({ a, b }) => matmul(a!, b!, n, n, n),
});

function convLayer(id: string, what: string, given: Omit<ConvSizes, "N" | "pad" | "groups"> & Partial<ConvSizes>) {
  const p = { N: 1, groups: 1, pad: 0, ...given } as ConvSizes;
  const { C, H, W, O, k, groups } = p;
  const fanIn = (C / groups) * k * k;
  return {
    id,
    what,
    p,
    flops: 2 * O * H * W * fanIn,
    generate: (random: Random) => ({ x: uniform(random, C * H * W), w: weights(random, O * fanIn, fanIn) }),
    reference: ({ x, w }: Arrays) => convolve(x!, w!, p),
  } satisfies Workload;
}

type Cell = (zx: Float64Array, h: Float64Array, c: Float64Array, wh: Float32Array) => [Float64Array, Float64Array];
const recurrent = { T: 32, B: 8, I: 128, H: 128 };

/** x [T, B, I], wx [I, G·H], wh [H, G·H], b [G·H]; the result is the last hidden state [B, H]. */
function recurrentLayer(id: string, what: string, G: number, cell: Cell): Workload {
  const { T, B, I, H } = recurrent;
  return {
    id,
    what: `${what} T32 B8 128→128`,
    p: { ...recurrent, G },
    flops: 2 * T * B * G * H * (I + H),
    generate: (random) => ({
      x: uniform(random, T * B * I),
      wx: weights(random, I * G * H, I),
      wh: weights(random, H * G * H, H),
      b: uniform(random, G * H, 0.1),
    }),
    reference: ({ x, wx, wh, b }) => {
      let h: Float64Array = new Float64Array(B * H);
      let c: Float64Array = new Float64Array(B * H);
      for (let t = 0; t < T; t++) {
        const zx = matmul(x!.subarray(t * B * I, (t + 1) * B * I), wx!, B, I, G * H, b);
        [h, c] = cell(zx, h, c, wh!);
      }
      return h;
    },
  };
}

/** Gates i, f, g, o. */
const lstmCell: Cell = (zx, h, c, wh) => {
  const { B, H } = recurrent;
  const zh = matmul(h, wh, B, H, 4 * H);
  const hidden = new Float64Array(B * H);
  const state = new Float64Array(B * H);
  for (let n = 0; n < B; n++)
    for (let j = 0; j < H; j++) {
      const gate = (g: number): number => zx[(n * 4 + g) * H + j]! + zh[(n * 4 + g) * H + j]!;
      const at = n * H + j;
      state[at] = sigmoid(gate(1)) * c[at]! + sigmoid(gate(0)) * Math.tanh(gate(2));
      hidden[at] = sigmoid(gate(3)) * Math.tanh(state[at]);
    }
  return [hidden, state];
};

/** Gates z, r, h; reset before the product (ONNX's default, and TensorFlow.js's). */
const gruCell: Cell = (zx, h, c, wh) => {
  const { B, H } = recurrent;
  const zh = matmul(h, wh, B, H, 3 * H);
  const kept = new Float64Array(B * H);
  for (let n = 0; n < B; n++)
    for (let j = 0; j < H; j++) {
      const at = (n * 3 + 1) * H + j;
      kept[n * H + j] = h[n * H + j]! * sigmoid(zx[at]! + zh[at]!);
    }
  const zk = matmul(kept, wh, B, H, 3 * H);
  const hidden = new Float64Array(B * H);
  for (let n = 0; n < B; n++)
    for (let j = 0; j < H; j++) {
      const update = n * 3 * H + j;
      const candidate = (n * 3 + 2) * H + j;
      const z = sigmoid(zx[update]! + zh[update]!);
      hidden[n * H + j] = z * h[n * H + j]! + (1 - z) * Math.tanh(zx[candidate]! + zk[candidate]!);
    }
  return [hidden, c];
};

/** Weights w0 [in, out], b0 [out], w1 … of fully connected layers. */
function denseLayers(random: Random, extents: readonly number[]): Record<string, Float32Array> {
  const arrays: Record<string, Float32Array> = {};
  for (let i = 0; i + 1 < extents.length; i++) {
    arrays[`w${i}`] = weights(random, extents[i]! * extents[i + 1]!, extents[i]!);
    arrays[`b${i}`] = uniform(random, extents[i + 1]!, 0.1);
  }
  return arrays;
}

function denseReference(x: Numbers, data: Arrays, batch: number, extents: readonly number[]): Float64Array {
  let h = Float64Array.from(x);
  for (let i = 0; i + 1 < extents.length; i++) {
    h = matmul(h, data[`w${i}`]!, batch, extents[i]!, extents[i + 1]!, data[`b${i}`]) as Float64Array<ArrayBuffer>;
    if (i + 2 < extents.length) h = relu(h) as Float64Array<ArrayBuffer>;
  }
  return h;
}

function mlp(B: number): Workload {
  const dims = [784, 512, 256, 10];
  return {
    id: `W8.b${B}`,
    what: `MLP 784-512-256-10 batch ${B} (upload + run + readback)`,
    e2e: true,
    p: { B, dims },
    flops: 2 * B * (784 * 512 + 512 * 256 + 2560),
    generate: (random) => ({ x: uniform(random, B * 784), ...denseLayers(random, dims) }),
    reference: (data) => denseReference(data["x"]!, data, B, dims),
  };
}

/** Convolution 5×5 pad 2 1→6, ReLU, max pooling, convolution 5×5 6→16, ReLU, max pooling, 400-120-84-10. */
function lenet(B: number): Workload {
  const dims = [400, 120, 84, 10];
  return {
    id: `W9.b${B}`,
    what: `LeNet 28×28 batch ${B} (upload + run + readback)`,
    e2e: true,
    p: { B, dims },
    flops: 2 * B * (6 * 784 * 25 + 16 * 100 * 150 + 400 * 120 + 120 * 84 + 840),
    generate: (random) => ({
      x: uniform(random, B * 784),
      c0: weights(random, 150, 25),
      cb0: uniform(random, 6, 0.1),
      c1: weights(random, 2400, 150),
      cb1: uniform(random, 16, 0.1),
      ...denseLayers(random, dims),
    }),
    reference: (data) => {
      const { x, c0, cb0, c1, cb1 } = data;
      const layer = { N: B, k: 5, groups: 1 };
      let h = convolve(x!, c0!, { ...layer, C: 1, H: 28, W: 28, O: 6, pad: 2 }, cb0);
      h = maxPool2(relu(h), B * 6, 28, 28);
      h = convolve(h, c1!, { ...layer, C: 6, H: 14, W: 14, O: 16, pad: 0 }, cb1);
      return denseReference(maxPool2(relu(h), B * 16, 10, 10), data, B, dims);
    },
  };
}

/** Losses of the first five steps of softmax cross-entropy under Adam. */
function training(): Workload {
  const B = 64;
  const dims = [784, 128, 10];
  const adam = { lr: 1e-3, b1: 0.9, b2: 0.999, eps: 1e-7 };
  const runs = 5;
  return {
    id: "W11",
    what: "train step MLP 784-128-10 b64, softmax-CE + Adam",
    runs,
    p: { B, dims, adam },
    flops: 3 * 2 * B * (784 * 128 + 1280),
    generate: (random) => {
      const data = { x: uniform(random, B * 784), y: new Float32Array(B * 10), ...denseLayers(random, dims) };
      for (let i = 0; i < B; i++) data.y[i * 10 + Math.floor(random() * 10)] = 1;
      return data;
    },
    reference: (data) => {
      const { x, y } = data;
      const parameters = ["w0", "b0", "w1", "b1"].map((name) => Float64Array.from(data[name]!));
      const first = parameters.map((parameter) => parameter.map(() => 0));
      const second = parameters.map((parameter) => parameter.map(() => 0));
      const losses = new Float64Array(runs);
      for (let step = 1; step <= runs; step++) {
        const [w0, b0, w1, b1] = parameters;
        const hidden = relu(matmul(x!, w0!, B, 784, 128, b0));
        const slope = byRow(matmul(hidden, w1!, B, 128, 10, b1), B, 10, softmaxRow);
        for (let i = 0; i < B * 10; i++) {
          if (y![i]) losses[step - 1]! -= Math.log(slope[i]!) / B;
          slope[i] = (slope[i]! - y![i]!) / B;
        }
        const slopeHidden = matmul(slope, transposed(w1!, 128, 10), B, 10, 128);
        slopeHidden.forEach((_, i) => {
          if (!(hidden[i]! > 0)) slopeHidden[i] = 0;
        });
        const gradients = [
          matmul(transposed(x!, B, 784), slopeHidden, 784, B, 128),
          columnSums(slopeHidden, 128),
          matmul(transposed(hidden, B, 128), slope, 128, B, 10),
          columnSums(slope, 10),
        ];
        gradients.forEach((gradient, k) => {
          const [parameter, m, v] = [parameters[k]!, first[k]!, second[k]!];
          gradient.forEach((g, i) => {
            m[i] = adam.b1 * m[i]! + (1 - adam.b1) * g;
            v[i] = adam.b2 * v[i]! + (1 - adam.b2) * g * g;
            const mHat = m[i] / (1 - adam.b1 ** step);
            parameter[i]! -= (adam.lr * mHat) / (Math.sqrt(v[i] / (1 - adam.b2 ** step)) + adam.eps);
          });
        });
      }
      return losses;
    },
  };
}

function transposed(a: Numbers, rows: number, columns: number): Float64Array {
  const y = new Float64Array(a.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) y[j * rows + i] = a[i * columns + j]!;
  return y;
}

function columnSums(a: Float64Array, columns: number): Float64Array {
  const y = new Float64Array(columns);
  a.forEach((value, i) => (y[i % columns]! += value));
  return y;
}

const rowsAndColumns = { R: 1024, C: 1024 };
const { R, C } = rowsAndColumns;
const arithmetic = 2 * 4 * 8 * 512 * 65536;

export const workloads: readonly Workload[] = [
  ceiling("W0.fma", "vec4 fma() in registers", { flops: arithmetic }),
  ceiling("W0.muladd", "vec4 a*m+s in registers", { flops: arithmetic }),
  ceiling("W0.scalar", "a*m+s on 8 scalar accumulators", { flops: arithmetic }),
  ceiling("W0.copy", "shader vec4 copy of 64 MiB (read + write)", { bytes: 2 * 2 ** 26 }),
  ceiling("W0.memcpy", "copyBufferToBuffer 64 MiB (read + write)", { bytes: 2 * 2 ** 26 }),
  ceiling("W0.submit", "1 empty dispatch a submit", { dispatches: 1 }),
  ceiling("W0.disp100", "100 empty dispatches in one pass", { dispatches: 100 }),
  squareMatmul(256),
  squareMatmul(512),
  squareMatmul(1024),
  {
    id: "W2",
    what: "GEMV 1×2048 · 2048×2048",
    flops: 2 * 2048 ** 2,
    p: { K: 2048, N: 2048 },
    generate: (random) => ({ a: uniform(random, 2048), b: weights(random, 2048 ** 2, 2048) }),
    reference: ({ a, b }) => matmul(a!, b!, 1, 2048, 2048),
  },
  convLayer("W3", "conv 3×3 64→64 56×56 pad 1", { C: 64, H: 56, W: 56, O: 64, k: 3, pad: 1 }),
  convLayer("W4", "conv 1×1 256→256 28×28", { C: 256, H: 28, W: 28, O: 256, k: 1 }),
  convLayer("W5", "depthwise 3×3 128 56×56", { C: 128, H: 56, W: 56, O: 128, k: 3, pad: 1, groups: 128 }),
  recurrentLayer("W6", "LSTM", 4, lstmCell),
  recurrentLayer("W7", "GRU", 3, gruCell),
  mlp(1),
  mlp(64),
  lenet(1),
  lenet(64),
  {
    id: "W10.softmax",
    what: "softmax 1024×1024",
    bytes: 2 * 4 * R * C,
    p: rowsAndColumns,
    generate: (random) => ({ x: uniform(random, R * C, 4) }),
    reference: ({ x }) => byRow(x!, R, C, softmaxRow),
  },
  {
    id: "W10.layernorm",
    what: "layernorm 1024×1024",
    bytes: 2 * 4 * R * C,
    p: rowsAndColumns,
    generate: (random) => ({ x: uniform(random, R * C, 4), g: uniform(random, C), b: uniform(random, C) }),
    reference: ({ x, g, b }) =>
      byRow(x!, R, C, (row, out) => {
        const mean = row.reduce((sum, value) => sum + value, 0) / C;
        const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / C;
        out.set(row.map((value, j) => ((value - mean) / Math.sqrt(variance + 1e-5)) * g![j]! + b![j]!));
      }),
  },
  training(),
  {
    id: "W12",
    what: "100 elementwise ops on 1M floats",
    bytes: 2 * 4 * 2 ** 20,
    p: { n: 2 ** 20, chain },
    generate: (random) => ({ x: uniform(random, 2 ** 20) }),
    reference: ({ x }) =>
      Float64Array.from(x!, (value) => {
        for (const { op, c = 0 } of chain)
          value = op === "mul" ? value * c : op === "add" ? value + c : op === "abs" ? Math.abs(value) : value - c;
        return value;
      }),
  },
];

export function workload(id: string): Workload {
  const found = workloads.find((candidate) => candidate.id === id);
  if (!found) throw new Error(`no workload ${id}; there are ${workloads.map((one) => one.id).join(", ")}`);
  return found;
}

/** The same data for every library: seeded by the workload's name. */
export function dataOf({ id, generate }: Workload): Arrays {
  const seed = Array.from(id).reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7);
  return generate(mulberry32(0xc0ffee + seed));
}
