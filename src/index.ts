/// <reference lib="esnext.disposable" preserve="true" />
// The public API: re-exports only. Applications and demos import from here and from nowhere else.

// The engine, and what it compiles.
export { createEngine, Engine } from "./engine.ts";
export type { Backend, EngineOptions, InputSpec } from "./engine.ts";
export type { CompileOptions, Compiler } from "./runtime/compiler.ts";
export type { DeviceOptions } from "./device/acquire.ts";
export type { AdapterSummary } from "./device/adapter.ts";
export type { GpuCounters } from "./device/gpu.ts";
export { Model } from "./runtime/model.ts";
export type { VerifyOptions } from "./runtime/model.ts";
export type { Inputs, Outputs, RunOptions } from "./runtime/executor.ts";
export type { TunedProblem, TuneOptions, TuneProgress, TuneReport, TuningTarget } from "./runtime/gpu/tuner.ts";
export type { TuningStore } from "./runtime/gpu/tuningStore.ts";
export type { AdapterTuning, Ban, TuningData, TuningEntry } from "./scheduler/tuning.ts";
export type { Ceilings } from "./scheduler/traits.ts";
export { VerifyReport } from "./runtime/verify.ts";
export type { StepReport } from "./runtime/verify.ts";
export { ProfileReport } from "./runtime/profile.ts";
export type { StepProfile } from "./runtime/profile.ts";
export { Plan } from "./scheduler/plan.ts";
export type { DispatchStep, PlanBuffer, PlanKernel, PlanNode, PlanStep, PlanValue } from "./scheduler/plan.ts";

// Graphs, for importers and for those who differentiate by hand: engine.compileGraph takes one.
export { Graph } from "./graph/graph.ts";
export type { Node, Value } from "./graph/graph.ts";
export { gradients } from "./autodiff/gradients.ts";

// Tensors: symbolic ones, and host data.
export { Tensor } from "./graph/tensor.ts";
export type { ReduceOptions, TensorLike } from "./graph/tensor.ts";
export { Variable } from "./graph/variable.ts";
export { filled, tensorData } from "./core/tensorData.ts";
export type { TensorData } from "./core/tensorData.ts";
export type { DType, TypedArray } from "./core/dtype.ts";
export type { Shape, TensorType } from "./core/shape.ts";
export { Random } from "./core/random.ts";

// Functions of tensors.
export {
  absolute,
  avgPool2d,
  conv2d,
  flatten,
  logSoftmax,
  maximum,
  maxPool2d,
  minimum,
  relu,
  sigmoid,
  softmax,
  tanh,
  where,
} from "./graph/functional.ts";
export type { Conv2dOptions, Pair, Pool2dOptions } from "./graph/functional.ts";

// Layers.
export { initialize, Module } from "./nn/module.ts";
export type { LoadOptions } from "./nn/module.ts";
export { Parameter } from "./nn/parameter.ts";
export {
  AvgPool2d,
  Conv2d,
  Dropout,
  Flatten,
  Linear,
  MaxPool2d,
  ReLU,
  sequential,
  Sequential,
  Sigmoid,
  Tanh,
} from "./nn/layers.ts";
export type { WeightOptions } from "./nn/layers.ts";
export {
  constant,
  glorotNormal,
  glorotUniform,
  heNormal,
  heUniform,
  normal,
  ones,
  uniform,
  zeros,
} from "./nn/initializers.ts";
export type { Initializer } from "./nn/initializers.ts";
export { Summary, summary } from "./nn/summary.ts";
export type { LayerSummary } from "./nn/summary.ts";

// Training.
export { DivergenceError, Trainer } from "./train/trainer.ts";
export type {
  EpochEvent,
  EvaluateOptions,
  Evaluation,
  FitEvent,
  FitOptions,
  Progress,
  StepEvent,
  TrainerOptions,
} from "./train/trainer.ts";
export { crossEntropy, mse } from "./train/losses.ts";
export type { CrossEntropyOptions, Loss } from "./train/losses.ts";
export { accuracy } from "./train/metrics.ts";
export type { Metric, Metrics } from "./train/metrics.ts";
export { adam, adamW, sgd } from "./train/optimizers.ts";
export type { AdamOptions, LearningRate, Optimizer, SgdOptions, Tensors, Update } from "./train/optimizers.ts";
export type { Batch, Dataset } from "./train/dataset.ts";

// Data and files.
export { arrayDataset, split, subset } from "./data/arrayDataset.ts";
export type { ArrayDatasetOptions } from "./data/arrayDataset.ts";
export { imageTensor } from "./data/image.ts";
export type { ImageOptions, Pixels } from "./data/image.ts";
export { decodeNpy, encodeNpy } from "./formats/npy.ts";
export type { NpyArray } from "./formats/npy.ts";
export { decodeSafetensors, encodeSafetensors } from "./formats/safetensors.ts";
export type { Safetensors, WritableTensor } from "./formats/safetensors.ts";

// ONNX: engine.load gives a model; these read and write files, and look into them, without running anything.
export { OnnxModel, unsupportedOperators } from "./formats/onnx/load.ts";
export type {
  LoadModelOptions,
  LoadProgress,
  OnnxInput,
  OnnxInputs,
  OnnxSource,
  RandomAccess,
  StreamOptions,
} from "./formats/onnx/load.ts";
export type { OptimizeOptions } from "./graph/passes/optimize.ts";
export type { OnnxArray, OnnxTensor } from "./formats/onnx/tensor.ts";
export { decodeModel } from "./formats/onnx/decode.ts";
export type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  OnnxDType,
  TensorProto,
  ValueInfo,
} from "./formats/onnx/model.ts";
export { exportOnnx } from "./formats/onnx/export.ts";
export type { Exportable, ExportInputs, ExportOptions } from "./formats/onnx/export.ts";
export { isStoredDType, naturalElements, storedSizeBytes } from "./formats/elements.ts";
export type { NaturalArray, StoredDType } from "./formats/elements.ts";
export { layoutGraph } from "./graph/layout.ts";
export type { Layout, Place } from "./graph/layout.ts";

// Errors.
export {
  DeviceLostError,
  DeviceUnavailableError,
  DTypeError,
  FormatError,
  GpuError,
  GpuValidationError,
  NeuriteError,
  OutOfMemoryError,
  ShapeError,
  UnsupportedError,
  UsageError,
} from "./core/errors.ts";
