// Every operator Neurite knows, and nothing else: tests and the ONNX importer go through this list.

export { add, div, equal, greater, less, max, min, mul, sub } from "./binary.ts";
export { conv, convTranspose, convWeightGradient } from "./conv.ts";
export { dropout, philoxUniform } from "./dropout.ts";
export { expand, reduceSum } from "./expand.ts";
export { gemm } from "./gemm.ts";
export { softmaxCrossEntropyLoss } from "./loss.ts";
export { matMul } from "./matmul.ts";
export { averagePool, averagePoolGradient, globalAveragePool, maxPool, maxPoolGradient } from "./pool.ts";
export { pointwise } from "./pointwise.ts";
export { pow } from "./pow.ts";
export { reduceMax, reduceMean } from "./reduce.ts";
export { flatten, reshape } from "./reshape.ts";
export { logSoftmax, softmax } from "./softmax.ts";
export { transpose } from "./transpose.ts";
export { abs, cast, exp, floor, log, neg, not, reciprocal, relu, sigmoid, sign, sqrt, tanh } from "./unary.ts";
export { where } from "./where.ts";
