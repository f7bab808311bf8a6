// The kernel families that shaders/index.ts leaves out, so that most pages do not load even their list.

import type { Families } from "./index.ts";

type Load = Families[string];

const argMax: Load = () => import("./argMax/index.ts");
const averagePool: Load = () => import("./averagePool/index.ts");
const cumulative: Load = () => import("./cumulative/index.ts");
const gather: Load = () => import("./gather/index.ts");
const movement: Load = () => import("./movement/index.ts");
const recurrent: Load = () => import("./recurrent/index.ts");
const resample: Load = () => import("./resample/index.ts");
const scatter: Load = () => import("./scatter/index.ts");
const winograd: Load = () => import("./winograd/index.ts");

const families: Families = {
  ArgMax: argMax,
  ArgMin: argMax,
  AveragePoolGradient: averagePool,
  Col2Im: movement,
  ConvTranspose: () => import("./convTranspose/index.ts"),
  ConvWeightGradient: () => import("./convWeightGradient/index.ts"),
  CumProd: cumulative,
  CumSum: cumulative,
  DeformConv: () => import("./deformConv/index.ts"),
  Gather: gather,
  GatherElements: gather,
  GatherGradient: scatter,
  GatherND: gather,
  GridSample: () => import("./gridSample/index.ts"),
  Im2Col: () => import("./im2Col/index.ts"),
  LinearAttention: () => import("./linearAttention/index.ts"),
  LpPool: averagePool,
  MatMulNBits: () => import("./matmulNBits/index.ts"),
  MaxPoolGradient: () => import("./maxPoolGradient/index.ts"),
  MaxPoolIndices: () => import("./maxPoolIndices/index.ts"),
  PhiloxUniform: () => import("./philoxUniform/index.ts"),
  RecurrentSequence: recurrent,
  RecurrentStep: recurrent,
  Resample: resample,
  ResampleGradient: resample,
  ReverseSequence: movement,
  RoiAlign: () => import("./roiAlign/index.ts"),
  ScaledDotProductAttention: () => import("./attention/index.ts"),
  ScatterElements: scatter,
  ScatterND: scatter,
  TopK: () => import("./topK/index.ts"),
  WinogradInput: winograd,
  WinogradOutput: winograd,
  WinogradWeights: winograd,
};

export default families;
