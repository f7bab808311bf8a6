// What can be compared: operators with the extents that make a problem of them. A problem's extents have names, so that the
// form, the address bar and the sweep speak of M, N and K rather than of shapes.

import type { LabProblem } from "../../bench/kernels/lab.ts";

/** An extent that can be set and swept. */
export interface Dimension {
  readonly name: string;
  /** What it counts, for people. */
  readonly title: string;
  readonly value: number;
  readonly minimum?: number;
}

/** Shapes of the operands and attributes. */
type Operands = Pick<LabProblem, "inputs" | "attributes">;

export interface ProblemForm {
  readonly title: string;
  readonly dimensions: readonly Dimension[];
  /** Extents worth starting from, by name. */
  readonly presets: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Operands that are weights: what depends on them alone costs a run nothing. */
  readonly constants?: readonly number[];
  readonly operands: (extents: Readonly<Record<string, number>>) => Operands;
}

const dimension = (name: string, title: string, value: number, minimum = 1): Dimension => ({
  name,
  title,
  value,
  minimum,
});

const window = (k: number, stride: number): LabProblem["attributes"] => ({
  kernel_shape: [k, k],
  strides: [stride, stride],
});

const rowsAndColumns = [dimension("rows", "Rows", 1024), dimension("columns", "Columns", 1024)];
const rowPresets = {
  "Square 1024²": { rows: 1024, columns: 1024 },
  "Few long rows": { rows: 8, columns: 131072 },
  "Many short rows": { rows: 65536, columns: 16 },
};

/** By operator name. */
export const problems: Readonly<Record<string, ProblemForm>> = {
  MatMul: {
    title: "Matrix product",
    dimensions: [
      dimension("batch", "Batch", 1),
      dimension("M", "Rows of A", 256),
      dimension("N", "Columns of B", 256),
      dimension("K", "Sum over", 256),
    ],
    presets: {
      "256³": { batch: 1, M: 256, N: 256, K: 256 },
      "512³": { batch: 1, M: 512, N: 512, K: 512 },
      "1024³": { batch: 1, M: 1024, N: 1024, K: 1024 },
      "Vector × matrix": { batch: 1, M: 1, N: 2048, K: 2048 },
      "A layer, batch 64": { batch: 1, M: 64, N: 512, K: 784 },
      "Long sum": { batch: 1, M: 32, N: 32, K: 16384 },
      "Attention heads": { batch: 12, M: 128, N: 128, K: 64 },
    },
    operands: ({ batch, M, N, K }) => ({
      inputs:
        batch === 1
          ? [
              [M!, K!],
              [K!, N!],
            ]
          : [
              [batch!, M!, K!],
              [batch!, K!, N!],
            ],
      attributes: {},
    }),
  },
  Conv: {
    title: "Convolution",
    constants: [1, 2],
    dimensions: [
      dimension("N", "Batch", 1),
      dimension("C", "Input channels", 64),
      dimension("O", "Output channels", 64),
      dimension("size", "Height and width", 56),
      dimension("k", "Kernel", 3),
      dimension("stride", "Stride", 1),
      dimension("groups", "Groups", 1),
    ],
    presets: {
      "3×3, 64 → 64, 56²": { N: 1, C: 64, O: 64, size: 56, k: 3, stride: 1, groups: 1 },
      "1×1, 256 → 256, 28²": { N: 1, C: 256, O: 256, size: 28, k: 1, stride: 1, groups: 1 },
      "Depthwise 3×3, 128, 56²": { N: 1, C: 128, O: 128, size: 56, k: 3, stride: 1, groups: 128 },
      "5×5, 6 → 16, batch 16": { N: 16, C: 6, O: 16, size: 14, k: 5, stride: 1, groups: 1 },
      "First layer 7×7 stride 2": { N: 1, C: 3, O: 32, size: 112, k: 7, stride: 2, groups: 1 },
    },
    operands: ({ N, C, O, size, k, stride, groups }) => ({
      inputs: [[N!, C!, size!, size!], [O!, C! / groups!, k!, k!], [O!]],
      attributes: { ...window(k!, stride!), pads: Array<number>(4).fill(k! >> 1), group: groups },
    }),
  },
  ConvTranspose: {
    title: "Transposed convolution",
    constants: [1, 2],
    dimensions: [
      dimension("N", "Batch", 1),
      dimension("C", "Input channels", 32),
      dimension("O", "Output channels", 32),
      dimension("size", "Height and width", 28),
      dimension("k", "Kernel", 3),
      dimension("stride", "Stride", 2),
    ],
    presets: {
      "3×3 stride 2, 32 → 32": { N: 1, C: 32, O: 32, size: 28, k: 3, stride: 2 },
      "Gradient of 5×5, 16 → 6": { N: 16, C: 16, O: 6, size: 10, k: 5, stride: 1 },
    },
    operands: ({ N, C, O, size, k, stride }) => ({
      inputs: [[N!, C!, size!, size!], [C!, O!, k!, k!], [O!]],
      attributes: window(k!, stride!),
    }),
  },
  ReduceSum: {
    title: "Sum of rows",
    dimensions: rowsAndColumns,
    presets: rowPresets,
    operands: ({ rows, columns }) => ({ inputs: [[rows!, columns!]], attributes: { axes: [1] } }),
  },
  Softmax: {
    title: "Softmax of rows",
    dimensions: rowsAndColumns,
    presets: rowPresets,
    operands: ({ rows, columns }) => ({ inputs: [[rows!, columns!]], attributes: { axis: 1 } }),
  },
  Standardization: {
    title: "Layer normalisation (mean and variance of rows)",
    dimensions: rowsAndColumns,
    presets: rowPresets,
    operands: ({ rows, columns }) => ({ inputs: [[rows!, columns!]], attributes: { axes: [1], epsilon: 1e-5 } }),
  },
  MaxPool: {
    title: "Max pooling",
    dimensions: [
      dimension("N", "Batch", 16),
      dimension("C", "Channels", 16),
      dimension("size", "Height and width", 56),
      dimension("k", "Window", 2),
    ],
    presets: {
      "2×2, 16 channels, 56²": { N: 16, C: 16, size: 56, k: 2 },
      "3×3, one picture": { N: 1, C: 64, size: 56, k: 3 },
    },
    operands: ({ N, C, size, k }) => ({ inputs: [[N!, C!, size!, size!]], attributes: window(k!, k!) }),
  },
  Transpose: {
    title: "Transposition",
    dimensions: rowsAndColumns,
    presets: rowPresets,
    operands: ({ rows, columns }) => ({ inputs: [[rows!, columns!]], attributes: { perm: [1, 0] } }),
  },
};

/** The choice a visitor starts with. */
export const firstOperator = "MatMul";
