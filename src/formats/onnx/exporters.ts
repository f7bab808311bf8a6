// How operators of a graph are said in ONNX. Most have the name and attributes ONNX gives them: PLAIN lists those with
// their attributes. In SPECIAL are those of which attributes of ours are inputs of ONNX's, and those that ONNX says with
// other operators. An operator in neither has no counterpart, and a graph with it cannot be exported.

import type { DType } from "../../core/dtype.ts";
import { broadcastShapes } from "../../core/broadcast.ts";
import { sameShape, type Shape, type TensorType } from "../../core/shape.ts";
import type { TensorData } from "../../core/tensorData.ts";
import type { Attributes, AttributeValue } from "../../ops/operator.ts";
import { DATA_TYPES, type AttributeProto, type OnnxDType } from "./model.ts";

/** One node on its way out. */
export interface ExportCall {
  readonly operator: string;
  /** What an exporter does not look at must have its default, or the export ends with an error. */
  readonly attributes: Attributes;
  /** Types of its inputs and outputs; absent inputs are undefined. */
  readonly inputTypes: readonly (TensorType | undefined)[];
  readonly outputTypes: readonly TensorType[];
  /** Names of its inputs, "" for absent ones, and of its outputs. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** The contents of input i where they are part of the graph. */
  constant(i: number): TensorData | undefined;
  /** Appends an ONNX node; returns the name of its first output, a new one unless `outputs` says otherwise. */
  emit(operator: string, inputs: readonly string[], attributes?: OnnxAttributes, outputs?: readonly string[]): string;
  /** A new name. */
  fresh(suffix: string): string;
  /** Raises the opset of the file. */
  needs(opset: number): void;
  /** A one-dimensional int64 tensor, stored in the file once. */
  integers(values: readonly number[]): string;
  /** A tensor stored in the file. */
  tensor(value: TensorData): string;
  /** Ends the export with an UnsupportedError that names the node. */
  refuse(why: string): never;
}

export type OnnxAttributes = Readonly<Record<string, AttributeProto>>;
export type Exporter = (call: ExportCall) => void;

const int = (value: number): AttributeProto => ({ kind: "int", value });
const ints = (value: readonly number[]): AttributeProto => ({ kind: "ints", value });
const float = (value: number): AttributeProto => ({ kind: "float", value });
const text = (value: string): AttributeProto => ({ kind: "string", value });

/** TensorProto.DataType of an element type. */
function dataTypeNumber(dtype: OnnxDType): number {
  return DATA_TYPES.indexOf(dtype);
}

/** Operators that ONNX knows by the same name, with the attributes they share. */
const PLAIN: Readonly<Record<string, string>> = {
  Abs: "",
  Acos: "",
  Acosh: "",
  Add: "",
  And: "",
  ArgMax: "axis keepdims select_last_index",
  ArgMin: "axis keepdims select_last_index",
  Asin: "",
  Asinh: "",
  Atan: "",
  Atanh: "",
  BatchNormalization: "epsilon momentum training_mode",
  BitShift: "direction",
  BitwiseAnd: "",
  BitwiseNot: "",
  BitwiseOr: "",
  BitwiseXor: "",
  Ceil: "",
  Celu: "alpha",
  Concat: "axis",
  Conv: "auto_pad dilations group kernel_shape pads strides",
  ConvTranspose: "auto_pad dilations group kernel_shape output_padding output_shape pads strides",
  Cos: "",
  Cosh: "",
  DeformConv: "dilations group kernel_shape offset_group pads strides",
  DepthToSpace: "blocksize mode",
  Div: "",
  Einsum: "equation",
  Elu: "alpha",
  Equal: "",
  Erf: "",
  Exp: "",
  Flatten: "axis",
  Floor: "",
  Gelu: "approximate",
  Gemm: "alpha beta transA transB",
  GlobalAveragePool: "",
  GlobalLpPool: "p",
  GlobalMaxPool: "",
  Greater: "",
  GreaterOrEqual: "",
  GridSample: "align_corners mode padding_mode",
  HardSigmoid: "alpha beta",
  HardSwish: "",
  Hardmax: "axis",
  InstanceNormalization: "epsilon",
  IsInf: "detect_negative detect_positive",
  IsNaN: "",
  LRN: "alpha beta bias size",
  LayerNormalization: "axis epsilon",
  LeakyRelu: "alpha",
  Less: "",
  LessOrEqual: "",
  Log: "",
  LogSoftmax: "axis",
  LpNormalization: "axis p",
  Max: "",
  Min: "",
  Mish: "",
  Mod: "fmod",
  Mul: "",
  Neg: "",
  Not: "",
  Or: "",
  Pow: "",
  Reciprocal: "",
  Relu: "",
  Round: "",
  Selu: "alpha gamma",
  Shrink: "bias lambd",
  Sigmoid: "",
  Sign: "",
  Sin: "",
  Sinh: "",
  Softmax: "axis",
  Softplus: "",
  Softsign: "",
  SpaceToDepth: "blocksize",
  Sqrt: "",
  Sub: "",
  Tan: "",
  Tanh: "",
  ThresholdedRelu: "alpha",
  Transpose: "perm",
  Where: "",
  Xor: "",
};

/** Attributes whose numbers are floats in ONNX; all others are integers. */
const FLOATS = new Set([
  "activation_alpha",
  "activation_beta",
  "alpha",
  "beta",
  "bias",
  "clip",
  "cubic_coeff_a",
  "epsilon",
  "extrapolation_value",
  "gamma",
  "lambd",
  "momentum",
  "scale",
  "softcap",
  "spatial_scale",
]);

/** The attributes `names` that say something: empty lists and texts are what is left out in a file. */
function attributesOf(call: ExportCall, names: readonly string[]): Record<string, AttributeProto> {
  const result: Record<string, AttributeProto> = {};
  for (const name of names) {
    const value = attributeProto(name, call.attributes[name]);
    if (value) result[name] = value;
  }
  return result;
}

function attributeProto(name: string, value: AttributeValue): AttributeProto | undefined {
  if (value === undefined || value === "") return undefined;
  if (typeof value === "string") return text(value);
  if (typeof value === "boolean") return int(Number(value));
  if (typeof value === "number") return FLOATS.has(name) ? float(value) : int(value);
  if (value.length === 0) return undefined;
  return FLOATS.has(name) ? { kind: "floats", value } : ints(value);
}

/** Where an ONNX input comes from. */
type Source = (call: ExportCall) => string;

/** Input i of ours. */
const input =
  (i: number): Source =>
  ({ inputs }) =>
    inputs[i] ?? "";

/** Input i of ours, as int64, where ONNX knows indices of that type only. */
const wideInput =
  (i: number): Source =>
  (call) =>
    call.inputTypes[i]?.dtype === "int64"
      ? call.inputs[i]!
      : call.emit("Cast", [call.inputs[i]!], { to: int(dataTypeNumber("int64")) });

/** Input i of ours, as int64 unless it is of a type ONNX knows for indices. */
const indexInput =
  (i: number): Source =>
  (call) =>
    call.inputTypes[i]?.dtype === "int32" ? input(i)(call) : wideInput(i)(call);

/** A list attribute of ours as int64 [n]. */
const list =
  (name: string): Source =>
  (call) =>
    call.integers(call.attributes[name] as readonly number[]);

/** The same, left out when it is empty. */
const listOrNothing =
  (name: string): Source =>
  (call) =>
    (call.attributes[name] as readonly number[]).length === 0 ? "" : list(name)(call);

/** A number attribute of ours as int64 []. */
const scalar =
  (name: string): Source =>
  (call) =>
    call.tensor({ dtype: "int64", shape: [], data: Int32Array.of(call.attributes[name] as number) });

/** The same, left out when it is 0. */
const scalarOrNothing =
  (name: string): Source =>
  (call) =>
    call.attributes[name] === 0 ? "" : scalar(name)(call);

/** An operator of the same name with these inputs and attributes. */
function said(sources: readonly Source[] | undefined, attributes = ""): Exporter {
  const names = attributes.split(" ").filter((name) => name !== "");
  return (call) => {
    const inputs = sources ? sources.map((source) => source(call)) : call.inputs;
    call.emit(call.operator, inputs, attributesOf(call, names), call.outputs);
  };
}

const reduction = said([input(0), listOrNothing("axes")], "keepdims noop_with_empty_axes");
const cumulative = said([input(0), scalar("axis")], "exclusive reverse");

/** Pooling. Before opset 22 a rounded-up size could count a window that begins behind the input. */
function pooling(attributes: string): Exporter {
  const exporter = said(undefined, `auto_pad ceil_mode dilations kernel_shape pads strides ${attributes}`);
  return (call) => {
    if (call.attributes["ceil_mode"] !== 0) call.needs(22);
    exporter(call);
  };
}

/** RNN, LSTM and GRU. The number of hidden units is said by R; lengths are int32 in ONNX. */
function network(more: string): Exporter {
  return (call) => {
    const { activations, clip, hidden_size } = call.attributes as Record<"clip" | "hidden_size", number> & {
      activations: string;
    };
    const hiddenSize = hidden_size || call.inputTypes[2]!.shape[2]!;
    const inputs = call.inputs.map((name, i) =>
      i === 4 && call.inputTypes[i]?.dtype === "int64"
        ? call.emit("Cast", [name], { to: int(dataTypeNumber("int32")) })
        : name,
    );
    call.emit(
      call.operator,
      inputs,
      {
        ...attributesOf(call, ["direction", "layout", "activation_alpha", "activation_beta", ...more.split(" ")]),
        hidden_size: int(hiddenSize),
        ...(activations !== "" && { activations: { kind: "strings", value: activations.split(",") } }),
        ...(clip !== 0 && { clip: float(clip) }),
      },
      call.outputs,
    );
  };
}

/** Operators whose inputs are another matter than ours, or that ONNX says with others. */
const SPECIAL: Readonly<Record<string, Exporter>> = {
  AffineGrid: said([input(0), list("size")], "align_corners"),
  AveragePool: pooling("count_include_pad"),

  Cast: (call) =>
    call.emit("Cast", call.inputs, { to: int(dataTypeNumber(call.attributes["to"] as DType)) }, call.outputs),

  Col2Im: said([input(0), list("image_shape"), list("block_shape")], "dilations pads strides"),
  CumProd: since(26, cumulative),
  CumSum: cumulative,
  DFT: said([input(0), scalarOrNothing("dft_length"), scalar("axis")], "inverse onesided"),

  Expand: said([input(0), list("shape")]),

  EyeLike: (call) => {
    const dtype = call.attributes["dtype"] as DType | "";
    const type = dtype === "" ? {} : { dtype: int(dataTypeNumber(dtype)) };
    call.emit("EyeLike", call.inputs, { ...attributesOf(call, ["k"]), ...type }, call.outputs);
  },

  GRU: network("linear_before_reset"),
  Gather: said([input(0), indexInput(1)], "axis"),
  GatherElements: said([input(0), indexInput(1)], "axis"),
  GatherND: said([input(0), wideInput(1)], "batch_dims"),

  /** A scale and shift for each group, as they were before opset 21, are repeated for its channels. */
  GroupNormalization: (call) => {
    const [x, scale] = call.inputTypes.map((type) => type!.shape) as [Shape, Shape];
    const [channels, groups] = [x[1]!, scale[0]!];
    const perChannel = (name: string): string => {
      if (groups === channels) return name;
      const column = call.emit("Reshape", [name, call.integers([groups, 1])]);
      const repeated = call.emit("Expand", [column, call.integers([groups, channels / groups])]);
      return call.emit("Reshape", [repeated, call.integers([channels])]);
    };
    const [data, ...parameters] = call.inputs as [string, ...string[]];
    call.emit(
      "GroupNormalization",
      [data, ...parameters.map(perChannel)],
      attributesOf(call, ["epsilon", "num_groups"]),
      call.outputs,
    );
  },

  LSTM: network("input_forget"),

  /** transA and transB, which ONNX's MatMul lacks: Gemm for matrices, else a Transpose before it. */
  MatMul: (call) => {
    const { transA, transB } = call.attributes as { transA: number; transB: number };
    const ranks = call.inputTypes.map((type) => type!.shape.length);
    const isFloat = call.outputTypes[0]!.dtype.startsWith("float");
    if ((transA || transB) && isFloat && ranks.every((rank) => rank === 2)) {
      call.emit("Gemm", call.inputs, { transA: int(transA), transB: int(transB) }, call.outputs);
      return;
    }
    const operands = call.inputs.map((name, i) =>
      (i === 0 ? transA : transB) ? call.emit("Transpose", [name], { perm: ints(lastTwoSwapped(ranks[i]!)) }) : name,
    );
    call.emit("MatMul", operands, {}, call.outputs);
  },

  LpPool: pooling("p"),
  MaxPool: pooling("storage_order"),

  /** The second output of MaxPool on its own. */
  MaxPoolIndices: (call) =>
    pooling("storage_order")({ ...call, operator: "MaxPool", outputs: [call.fresh("values"), ...call.outputs] }),

  NegativeLogLikelihoodLoss: said([input(0), indexInput(1), input(2)], "ignore_index reduction"),

  OneHot: said([wideInput(0), scalar("depth"), input(1)], "axis"),
  LinearAttention: since(27, said(undefined, "kv_num_heads q_num_heads scale update_rule")),
  Pad: said([input(0), list("pads"), input(1), listOrNothing("axes")], "mode"),
  /** Ours broadcasts scales and zero points; ONNX knows one for all, one a slice of an axis, or one for every block. */
  QuantizeLinear: (call) => {
    const [x, scale, zero] = call.inputTypes.map((type) => type!.shape) as [Shape, Shape, Shape];
    const shared = broadcastShapes([scale, zero], "QuantizeLinear");
    const aligned = [...Array.from({ length: x.length - shared.length }, () => 1), ...shared];
    const own = aligned.flatMap((extent, axis) => (extent === 1 ? [] : [axis]));
    const whole = own.length > 1 ? x : own.length === 1 ? [aligned[own[0]!]!] : [];
    const parameter = (name: string, shape: Shape): string => {
      const common = sameShape(shape, shared) ? name : call.emit("Expand", [name, call.integers(shared)]);
      const target = call.integers(whole);
      if (own.length > 1) return call.emit("Expand", [common, target]);
      return sameShape(shared, whole) ? common : call.emit("Reshape", [common, target]);
    };
    const type = { output_dtype: int(dataTypeNumber(call.attributes["to"] as DType)) };
    const blocks =
      own.length > 1 ? { axis: int(0), block_size: int(1) } : own.length === 1 ? { axis: int(own[0]!) } : {};
    const [input0, input1, input2] = call.inputs as [string, string, string];
    call.emit(
      "QuantizeLinear",
      [input0, parameter(input1, scale), parameter(input2, zero)],
      { ...type, ...blocks },
      call.outputs,
    );
  },

  /** ONNX broadcasts the slope to X and never X to the slope. */
  PRelu: (call) => {
    const [x, slope] = call.inputs as [string, string];
    const { shape } = call.outputTypes[0]!;
    const isFull = sameShape(call.inputTypes[0]!.shape, shape);
    call.emit("PRelu", [isFull ? x : call.emit("Expand", [x, call.integers(shape)]), slope], {}, call.outputs);
  },

  RNN: network(""),
  ReduceL1: reduction,
  ReduceL2: reduction,
  ReduceLogSum: reduction,
  ReduceLogSumExp: reduction,
  ReduceMax: reduction,
  ReduceMean: reduction,
  ReduceMin: reduction,
  ReduceProd: reduction,
  ReduceSum: reduction,
  ReduceSumSquare: reduction,

  /** Each axis is a Gather of its neighbours, weighed and summed: ONNX has no operator that takes tables. */
  Resample: (call) => {
    const { axes, fill } = call.attributes as { axes: readonly number[]; fill: number };
    const type = call.inputTypes[0]!;
    let shape = type.shape;
    let y = call.inputs[0]!;
    const isOutside: string[] = [];
    axes.forEach((given, i) => {
      const axis = given < 0 ? given + shape.length : given;
      const starts = call.constant(2 * i + 1);
      const bits = call.constant(2 * i + 2);
      if (!starts || (call.inputTypes[2 * i + 2] && !bits)) return call.refuse("its tables are not constants");
      const taps = bits ? bits.shape[1]! : 1;
      const count = starts.data.length;
      const inner = shape.length - axis - 1;
      const along = (extents: readonly number[]): number[] => [...extents, ...Array.from({ length: inner }, () => 1)];
      const places = Array.from(starts.data).flatMap((start) =>
        Array.from({ length: taps }, (_, t) => Math.min(Math.max(start + t, 0), type.shape[axis]! - 1)),
      );
      shape = shape.with(axis, count);
      const indices = call.tensor({ dtype: "int64", shape: [count, taps], data: Int32Array.from(places) });
      const taken = call.emit("Gather", [y, indices], { axis: int(axis) });
      const weights = bits ? new Float32Array(Uint32Array.from(bits.data).buffer) : new Float32Array(count).fill(1);
      const factors = call.tensor({ dtype: type.dtype, shape: along([count, taps]), data: weights });
      const weighed = bits ? call.emit("Mul", [taken, factors]) : taken;
      y = bits
        ? call.emit("ReduceSum", [weighed, call.integers([axis + 1])], { keepdims: int(0) })
        : call.emit("Squeeze", [weighed, call.integers([axis + 1])]);
      if (starts.data.some((start) => start < 0))
        isOutside.push(
          call.tensor({
            dtype: "bool",
            shape: along([count]),
            data: Uint32Array.from(starts.data, (start) => (start < 0 ? 1 : 0)),
          }),
        );
    });
    if (isOutside.length === 0) call.emit("Identity", [y], {}, call.outputs);
    else {
      const [first, second] = isOutside as [string, string?];
      const outside = second === undefined ? first : call.emit("Or", [first, second]);
      const data = type.dtype.includes("float") ? Float32Array.of(fill) : Int32Array.of(fill);
      call.emit("Where", [outside, call.tensor({ dtype: type.dtype, shape: [], data }), y], {}, call.outputs);
    }
  },

  Reshape: said([input(0), list("shape")], "allowzero"),

  Resize: (call) => {
    const { roi, scales, sizes } = call.attributes as Record<"roi" | "scales" | "sizes", readonly number[]>;
    const floats = (values: readonly number[]): string =>
      values.length === 0
        ? ""
        : call.tensor({ dtype: "float32", shape: [values.length], data: Float32Array.from(values) });
    const names = [
      "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value",
      "keep_aspect_ratio_policy mode nearest_mode",
    ];
    call.emit(
      "Resize",
      [call.inputs[0]!, floats(roi), floats(scales), sizes.length === 0 ? "" : call.integers(sizes)],
      attributesOf(call, names.join(" ").split(" ")),
      call.outputs,
    );
  },

  ReverseSequence: said([input(0), wideInput(1)], "batch_axis time_axis"),

  RoiAlign: said(
    [input(0), input(1), wideInput(2)],
    "coordinate_transformation_mode mode output_height output_width sampling_ratio spatial_scale",
  ),

  STFT: said([input(0), scalar("frame_step"), input(1), scalarOrNothing("frame_length")], "onesided"),
  ScatterElements: said([input(0), indexInput(1), input(2)], "axis reduction"),
  ScatterND: said([input(0), wideInput(1), input(2)], "reduction"),
  Slice: said([input(0), list("starts"), list("ends"), listOrNothing("axes"), listOrNothing("steps")]),
  SoftmaxCrossEntropyLoss: said([input(0), indexInput(1), input(2)], "ignore_index reduction"),

  /** (x - mean) / √(variance + ε), step by step. */
  Standardization: (call) => {
    const { axes, epsilon, centered } = call.attributes as { axes: Shape; epsilon: number; centered: number };
    const { dtype } = call.inputTypes[0]!;
    const [x] = call.inputs as [string];
    const along = call.integers(axes);
    const mean = (of: string): string => call.emit("ReduceMean", [of, along], { noop_with_empty_axes: int(1) });
    const difference = centered ? call.emit("Sub", [x, mean(x)]) : x;
    const variance = mean(call.emit("Mul", [difference, difference]));
    const small = call.tensor({ dtype, shape: [], data: Float32Array.of(epsilon) });
    const deviation = call.emit("Sqrt", [call.emit("Add", [variance, small])]);
    call.emit("Div", [difference, deviation], {}, call.outputs);
  },

  /** x · σ(alpha · x); an operator of its own only since opset 24. */
  Swish: (call) => {
    const [x] = call.inputs as [string];
    const { dtype } = call.inputTypes[0]!;
    const alpha = call.attributes["alpha"] as number;
    const factor = (): string => call.tensor({ dtype, shape: [], data: Float32Array.of(alpha) });
    const scaled = alpha === 1 ? x : call.emit("Mul", [x, factor()]);
    call.emit("Mul", [x, call.emit("Sigmoid", [scaled])], {}, call.outputs);
  },

  Tile: said([input(0), list("repeats")]),

  TopK: (call) => {
    const k = call.integers([call.attributes["k"] as number]);
    call.emit("TopK", [call.inputs[0]!, k], attributesOf(call, ["axis", "largest", "sorted"]), call.outputs);
  },

  Trilu: said([input(0), scalar("k")], "upper"),
};

/** An operator that came with a later opset than the one files are written for. */
function since(opset: number, exporter: Exporter): Exporter {
  return (call) => {
    call.needs(opset);
    exporter(call);
  };
}

function lastTwoSwapped(rank: number): number[] {
  return Array.from({ length: rank }, (_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis));
}

/** How each operator is said, by its name. */
export const exporters: ReadonlyMap<string, Exporter> = new Map([
  ...Object.entries(PLAIN).map(([name, attributes]) => [name, said(undefined, attributes)] as const),
  ...Object.entries(SPECIAL),
]);
