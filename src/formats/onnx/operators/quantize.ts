// Quantized arithmetic, as compositions. Products of integers are carried out in float32, where the fast kernels are, and
// are exact there: every partial sum of K products of at most |a| and |b| is a whole number of at most K·|a|·|b|, and
// float32 holds all whole numbers up to 2^24. Where that is not enough, an operand is split into 16·high + low, which
// have products of their own (see exactProduct).

import { dtypes, isFloat, type DType } from "../../../core/dtype.ts";
import { sizeOf, type Shape } from "../../../core/shape.ts";
import { add, mul, sub } from "../../../ops/binary.ts";
import { concatenate } from "../../../ops/concat.ts";
import { conv } from "../../../ops/conv.ts";
import { filled, tensorData } from "../../../core/tensorData.ts";
import { expandTo } from "../../../ops/expand.ts";
import { reduceSum } from "../../../ops/reduce.ts";
import { gather } from "../../../ops/gather.ts";
import { formulas } from "../../../ops/formula.ts";
import { bitShift, bitwiseAnd } from "../../../ops/logic.ts";
import { matMul } from "../../../ops/matmul.ts";
import { matMulNBits as packedProduct } from "../../../ops/matMulNBits.ts";
import type { Builder, Operand } from "../../../ops/operator.ts";
import { quantizeLinear as rounded } from "../../../ops/quantizeLinear.ts";
import { reduceMax, reduceMin } from "../../../ops/reduce.ts";
import { reshapeTo } from "../../../ops/reshape.ts";
import { scalar } from "../../../ops/scalar.ts";
import { sliceAxis } from "../../../ops/slice.ts";
import { cast } from "../../../ops/cast.ts";
import { floor } from "../../../ops/rounding.ts";
import type { Call, Handler, Handlers } from "../handler.ts";
import { windowOf } from "./window.ts";

const as = (build: Builder, x: Operand, to: DType): Operand => (x.dtype === to ? x : build.apply(cast, [x], { to }));

/** Scales, and what is divided by them, are float32: halves would lose what is to be rounded next. */
const asFloat = (build: Builder, x: Operand): Operand => as(build, x, "float32");

/**
 * A scale or zero point in a shape that broadcasts to x [..]: one number for all, [x.shape[axis]] along `axis`, or x's
 * rank with one number for each block of `block` elements along `axis`.
 */
function spread(build: Builder, parameter: Operand, shape: Shape, axis: number, block: number): Operand {
  if (parameter.shape.length < 2 && sizeOf(parameter.shape) === 1) return reshapeTo(build, parameter, []);
  const at = axis < 0 ? axis + shape.length : axis;
  if (parameter.shape.length === 1)
    return reshapeTo(build, parameter, [parameter.shape[0]!, ...shape.slice(at + 1).map(() => 1)]);
  const [outer, count, inner] = [parameter.shape.slice(0, at), parameter.shape[at]!, parameter.shape.slice(at + 1)];
  const length = block || Math.ceil(shape[at]! / count);
  const repeated = expandTo(build, reshapeTo(build, parameter, [...outer, count, 1, ...inner]), [
    ...outer,
    count,
    length,
    ...inner,
  ]);
  const flat = reshapeTo(build, repeated, [...outer, count * length, ...inner]);
  return count * length === shape[at] ? flat : sliceAxis(build, flat, at, 0, shape[at]!);
}

/** round(x / scale) + zero point, within the range of `dtype`. */
function quantized(build: Builder, x: Operand, scale: Operand, zeroPoint: Operand | undefined, dtype: DType): Operand {
  const zero = zeroPoint ?? scalar(build, 0, { dtype });
  return build.apply(rounded, [asFloat(build, x), asFloat(build, scale), zero], { to: dtype });
}

/** What quantization parameters have to be: nothing of fewer than 8 bits and no small floats. */
function quantizedType(call: Call, dtype: DType): DType {
  const { kind, high } = dtypes[dtype];
  if (kind !== "int" || high > 65535) throw call.unsupported(`quantized values of type ${dtype}`);
  return dtype;
}

/** QuantizeLinear: saturate(round(x / scale) + zero point). */
const quantizeLinear: Handler = (call) => {
  const { build } = call;
  const x = call.operand(0);
  const [axis, block] = [call.int("axis", 1), call.int("block_size", 0)];
  const parameter = (i: number): Operand => spread(build, call.operand(i), x.shape, axis, block);
  const dtype = quantizedType(call, call.has(2) ? call.operand(2).dtype : call.dtype("output_dtype", "uint8"));
  return quantized(build, x, parameter(1), call.has(2) ? parameter(2) : undefined, dtype);
};

/** DequantizeLinear: (x - zero point) · scale. */
const dequantizeLinear: Handler = (call) => {
  const { build } = call;
  const x = call.operand(0);
  const scale = call.operand(1);
  const [axis, block] = [call.int("axis", 1), call.int("block_size", 0)];
  const parameter = (i: number): Operand => spread(build, call.operand(i), x.shape, axis, block);
  const dtype = call.dtype("output_dtype", scale.dtype);
  const centered = centeredOn(build, x, call.has(2) ? parameter(2) : undefined);
  const y = build.apply(mul, [asFloat(build, centered), asFloat(build, parameter(1))]);
  return as(build, y, dtype);
};

/** x - zero point, in int32, where no difference overflows. */
function centeredOn(build: Builder, x: Operand, zeroPoint: Operand | undefined): Operand {
  const wide = as(build, x, "int32");
  return zeroPoint ? build.apply(sub, [wide, as(build, zeroPoint, "int32")]) : wide;
}

/** DynamicQuantizeLinear: uint8 values of x, with the scale and zero point that take in x's range and 0. */
const dynamicQuantizeLinear: Handler = (call) => {
  const { build } = call;
  const x = call.operand(0);
  const { max: atLeast, min: atMost, sub: minus, div, greater, where } = formulas(build, x);
  const high = atLeast(build.apply(reduceMax, [x], { keepdims: 0 }), 0);
  const low = atMost(build.apply(reduceMin, [x], { keepdims: 0 }), 0);
  const range = minus(high, low);
  const scale = where(greater(range, 0), div(range, 255), 1);
  const zero = quantized(build, minus(0, low), scale, undefined, "uint8");
  return [quantized(build, x, scale, zero, "uint8"), scale, zero];
};

/** The largest whole number up to which float32 has no gaps. */
const EXACT = 2 ** 24;

/** An int32 tensor and the largest magnitude its values may have. */
interface Bounded {
  readonly values: Operand;
  readonly magnitude: number;
}

/**
 * A product (of matrices, a convolution) of integer tensors, exact, as int32: sums of `terms` products, carried out by
 * `multiply` in float32. While their sum may pass 2^24, the larger operand is split into 16·high + low: 255 becomes 15
 * and 15, and 65,536 terms fit. Throws UnsupportedError for more.
 */
function exactProduct(
  call: Call,
  a: Bounded,
  b: Bounded,
  terms: number,
  multiply: (a: Operand, b: Operand) => Operand,
): Operand {
  const { build } = call;
  if (terms * a.magnitude * b.magnitude <= EXACT)
    return as(build, multiply(asFloat(build, a.values), asFloat(build, b.values)), "int32");
  const isFirst = a.magnitude >= b.magnitude;
  const larger = isFirst ? a : b;
  if (larger.magnitude <= 16) throw call.unsupported(`sums of ${terms} products of integers`);
  const { mul: times, sub: minus } = formulas(build, larger.values);
  const sixteenth = build.apply(floor, [times16th(build, larger.values)]);
  const high = as(build, sixteenth, "int32");
  const part = (values: Operand, magnitude: number): Operand => {
    const split = { values, magnitude };
    return isFirst ? exactProduct(call, split, b, terms, multiply) : exactProduct(call, a, split, terms, multiply);
  };
  const highPart = part(high, Math.ceil(larger.magnitude / 16));
  const lowPart = part(minus(larger.values, times(high, 16)), 15);
  return build.apply(add, [times(highPart, 16), lowPart]);
}

const times16th = (build: Builder, x: Operand): Operand =>
  build.apply(mul, [asFloat(build, x), build.constant(1 / 16)]);

/** x - zero point with its bound: a zero point is of x's type, so no difference passes the width of its range. */
function bounded(build: Builder, x: Operand, zeroPoint: Operand | undefined): Bounded {
  const { low, high } = dtypes[x.dtype];
  return {
    values: centeredOn(build, x, zeroPoint),
    magnitude: zeroPoint ? high - low : Math.max(high, -low),
  };
}

/** A parameter of a matrix's rows [M] as a column, which broadcasts over them. */
const ofRows = (build: Builder, parameter: Operand | undefined): Operand | undefined =>
  parameter?.shape.length === 1 ? reshapeTo(build, parameter, [parameter.shape[0]!, 1]) : parameter;

/** (A - zero point of A) · (B - zero point of B), as int32. */
function integerMatMul(
  call: Call,
  [A, aZero]: readonly [Operand, Operand | undefined],
  [B, bZero]: readonly [Operand, Operand | undefined],
): Operand {
  const { build } = call;
  // A vector's zero point is one number; a matrix's may differ by row.
  const a = bounded(build, A, A.shape.length > 1 ? ofRows(build, aZero) : flat(build, aZero));
  const b = bounded(build, B, B.shape.length > 1 ? bZero : flat(build, bZero));
  const multiply = (x: Operand, y: Operand): Operand => build.apply(matMul, [x, y]);
  return exactProduct(call, a, b, A.shape.at(-1)!, multiply);
}

/** One number as a scalar. */
const flat = (build: Builder, parameter: Operand | undefined): Operand | undefined =>
  parameter && sizeOf(parameter.shape) === 1 ? reshapeTo(build, parameter, []) : parameter;

const matMulInteger: Handler = (call) =>
  integerMatMul(call, [call.operand(0), call.optional(2)], [call.operand(1), call.optional(3)]);

/** An int32 sum as a quantized number: times aScale · bScale / yScale, all float32, rounded and saturated. */
function requantize(
  build: Builder,
  sum: Operand,
  scales: readonly Operand[],
  yScale: Operand,
  yZero: Operand,
): Operand {
  const { mul: times, div } = formulas(build, asFloat(build, yScale));
  const product = scales.map((scale) => asFloat(build, scale)).reduce((x, y) => times(x, y));
  const scaled = times(asFloat(build, sum), div(product, flat(build, asFloat(build, yScale))!));
  return quantized(build, scaled, build.constant(1), flat(build, yZero), yZero.dtype);
}

/** QLinearMatMul: the product of two quantized matrices, quantized. */
const qLinearMatMul: Handler = (call) => {
  const { build } = call;
  const [A, B] = [call.operand(0), call.operand(3)];
  const sum = integerMatMul(call, [A, call.operand(2)], [B, call.operand(5)]);
  const isRowwise = A.shape.length > 1 && sizeOf(call.operand(1).shape) > 1;
  const aScale = isRowwise ? ofRows(build, call.operand(1))! : flat(build, call.operand(1))!;
  const yZero = call.operand(7);
  quantizedType(call, yZero.dtype);
  return requantize(build, sum, [aScale, flat(build, call.operand(4))!], call.operand(6), yZero);
};

/** (x - zero point) convolved with (w - zero point), as int32. The padding is 0, which is what x's zero point stands for. */
function integerConv(
  call: Call,
  [x, xZero]: readonly [Operand, Operand | undefined],
  [w, wZero]: readonly [Operand, Operand | undefined],
): Operand {
  const { build } = call;
  const attributes = { ...windowOf(call), group: call.int("group", 1) };
  const a = bounded(build, x, flat(build, xZero));
  const b = bounded(build, w, wZero && perChannel(build, wZero, w.shape));
  const terms = sizeOf(w.shape.slice(1));
  return exactProduct(call, a, b, terms, (left, right) => build.apply(conv, [left, right], attributes));
}

/** A parameter of output channels [M] so that it broadcasts over an axis of M followed by those behind it. */
const perChannel = (build: Builder, parameter: Operand, shape: Shape): Operand =>
  sizeOf(parameter.shape) === 1
    ? reshapeTo(build, parameter, [])
    : reshapeTo(build, parameter, [sizeOf(parameter.shape), ...shape.slice(1).map(() => 1)]);

const convInteger: Handler = (call) =>
  integerConv(call, [call.operand(0), call.optional(2)], [call.operand(1), call.optional(3)]);

/** QLinearConv: the convolution of quantized tensors, quantized. The bias is int32 in units of both scales' product. */
const qLinearConv: Handler = (call) => {
  const { build } = call;
  const [x, w, yZero] = [call.operand(0), call.operand(3), call.operand(7)];
  quantizedType(call, yZero.dtype);
  const spatial = x.shape.slice(1); // [M, 1 …] broadcasts to [N, M, …]
  const sum = integerConv(call, [x, call.operand(2)], [w, call.operand(5)]);
  const bias = call.optional(8);
  const biased = bias ? build.apply(add, [sum, perChannel(build, bias, spatial)]) : sum;
  const scales = [flat(build, call.operand(1))!, perChannel(build, call.operand(4), spatial)];
  return requantize(build, biased, scales, call.operand(6), yZero);
};

/** The numbers of `bits` bits that bytes [.., n] hold, lowest bits first: [.., n · 8/bits]. */
function unpack(build: Builder, bytes: Operand, bits: number): Operand {
  if (bits === 8) return bytes;
  const outer = bytes.shape.slice(0, -1);
  const length = bytes.shape.at(-1)!;
  const count = 8 / bits;
  const parts = Array.from({ length: count }, (_, i) => {
    const shifted = build.apply(bitShift, [bytes, scalar(build, bits * i, bytes)], { direction: "RIGHT" });
    return reshapeTo(build, build.apply(bitwiseAnd, [shifted, scalar(build, 2 ** bits - 1, bytes)]), [
      ...outer,
      length,
      1,
    ]);
  });
  return reshapeTo(build, concatenate(build, parts, outer.length + 1), [...outer, length * count]);
}

/** Bytes [.., 4·n] as the words [.., n] that hold them, the first byte lowest. */
function wordsOf(build: Builder, bytes: Operand): Operand {
  const groups = reshapeTo(build, bytes, [...bytes.shape.slice(0, -1), -1, 4]);
  const places = build.constant(
    tensorData(
      [0, 1, 2, 3].map((i) => 256 ** i),
      [4],
      "uint32",
    ),
  );
  const placed = build.apply(mul, [as(build, groups, "uint32"), places]);
  return build.apply(reduceSum, [placed], { axes: [-1], keepdims: 0 });
}

/**
 * MatMulNBits (com.microsoft): A [.., K] times the transpose of weights [N, K], which are kept in 2, 4 or 8 bits with a
 * scale and a zero point for each block of a row. They stay packed, unless zero points are floats or `g_idx` says which
 * block each column belongs to: such weights, where constant, are unpacked once, when the model is loaded.
 */
const matMulNBits: Handler = (call) => {
  const { build } = call;
  const A = call.operand(0);
  const [K, N, bits, block] = [call.int("K", 0), call.int("N", 0), call.int("bits", 4), call.int("block_size", 0)];
  if (![2, 4, 8].includes(bits)) throw call.unsupported(`weights of ${bits} bits`);
  if (K < 1 || N < 1 || block < 1)
    throw call.malformed(`K = ${K}, N = ${N}, block_size = ${block}; all must be positive`);
  const blocks = Math.ceil(K / block);
  const scales = reshapeTo(build, call.operand(2), [N, blocks]);
  const given = call.optional(3);
  const bias = call.optional(5);
  const biased = (product: Operand): Operand => (bias ? build.apply(add, [product, bias]) : product);
  const isPacked = (block * bits) % 32 === 0 && block >= 16 && !call.has(4) && !(given && isFloat(given.dtype));
  if (isPacked) {
    const B = wordsOf(build, reshapeTo(build, call.operand(1), [N, blocks, (block * bits) / 8]));
    const zeroPoints = given && wordsOf(build, padded(build, reshapeTo(build, given, [N, -1])));
    return biased(build.apply(packedProduct, [A, B, scales, zeroPoints], { K, N, bits, block_size: block }));
  }
  const numbers = reshapeTo(build, unpack(build, reshapeTo(build, call.operand(1), [N, -1]), bits), [
    N,
    blocks * block,
  ]);
  // A parameter of each block [N, blocks] as one of each weight.
  const index = call.optional(4);
  const perWeight = (parameter: Operand): Operand =>
    index ? build.apply(gather, [parameter, index], { axis: 1 }) : spread(build, parameter, [N, K], 1, block);
  const exactly = (rows: Operand): Operand => (rows.shape[1] === K ? rows : sliceAxis(build, rows, 1, 0, K));
  const zeroPoint = (): Operand => {
    if (!given) return build.constant(2 ** (bits - 1));
    if (isFloat(given.dtype)) return perWeight(asFloat(build, reshapeTo(build, given, [N, blocks])));
    const all = unpack(build, reshapeTo(build, given, [N, -1]), bits);
    return perWeight(asFloat(build, all.shape[1] === blocks ? all : sliceAxis(build, all, 1, 0, blocks)));
  };
  const centered = build.apply(sub, [asFloat(build, exactly(numbers)), zeroPoint()]);
  const weights = build.apply(mul, [centered, perWeight(asFloat(build, scales))]);
  return biased(build.apply(matMul, [A, as(build, weights, A.dtype)], { transB: 1 }));
};

/** Rows of bytes, filled up to whole words. */
function padded(build: Builder, bytes: Operand): Operand {
  const [rows, length] = bytes.shape as [number, number];
  const missing = (4 - (length % 4)) % 4;
  if (missing === 0) return bytes;
  return concatenate(build, [bytes, build.constant(filled(0, [rows, missing], bytes.dtype))], 1);
}

export const quantize: Handlers = {
  ConvInteger: convInteger,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
  MatMulInteger: matMulInteger,
  QLinearConv: qLinearConv,
  QLinearMatMul: qLinearMatMul,
  QuantizeLinear: quantizeLinear,
  "com.microsoft::DequantizeLinear": dequantizeLinear,
  "com.microsoft::MatMulNBits": matMulNBits,
  "com.microsoft::QuantizeLinear": quantizeLinear,
};
