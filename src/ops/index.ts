// Every operator Neurite knows, and nothing else: tests and the ONNX importer go through this list.

export { argMax, argMin, hardmax } from "./argMax.ts";
export { attention } from "./attention.ts";
export { averagePool, averagePoolGradient, lpPool } from "./averagePool.ts";
export { affineGrid } from "./affineGrid.ts";
export {
  celu,
  elu,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  mish,
  pRelu,
  selu,
  shrink,
  softplus,
  softsign,
  swish,
  thresholdedRelu,
} from "./activations.ts";
export { add, div, equal, greater, greaterOrEqual, less, lessOrEqual, mul, sub } from "./binary.ts";
export { max, min } from "./extrema.ts";
export { col2Im } from "./col2Im.ts";
export { im2Col } from "./im2Col.ts";
export { concat } from "./concat.ts";
export { conv } from "./conv.ts";
export { convTranspose, convWeightGradient } from "./convBack.ts";
export { cumProd, cumSum } from "./cumulative.ts";
export { deformConv } from "./deformConv.ts";
export { depthToSpace, spaceToDepth } from "./depth.ts";
export { dft, stft } from "./dft.ts";
export { dropout, philoxUniform } from "./dropout.ts";
export { einsum } from "./einsum.ts";
export { erf, gelu } from "./erf.ts";
export { expand } from "./expand.ts";
export { gatherElements, scatterElements } from "./elements.ts";
export { gather, gatherGradient } from "./gather.ts";
export { gemm } from "./gemm.ts";
export { gridSample } from "./gridSample.ts";
export { and, bitShift, bitwiseAnd, bitwiseNot, bitwiseOr, bitwiseXor, isInf, isNan, or, xor } from "./logic.ts";
export { negativeLogLikelihoodLoss, softmaxCrossEntropyLoss } from "./loss.ts";
export { linearAttention } from "./linearAttention.ts";
export { matMul } from "./matmul.ts";
export { matMulNBits } from "./matMulNBits.ts";
export { globalAveragePool, globalLpPool, globalMaxPool } from "./globalPool.ts";
export { maxPool } from "./maxPool.ts";
export { maxPoolGradient } from "./maxPoolGradient.ts";
export { maxPoolIndices } from "./maxPoolIndices.ts";
export {
  batchNormalization,
  groupNormalization,
  instanceNormalization,
  layerNormalization,
  lpNormalization,
  lrn,
  rmsNormalization,
} from "./normalize.ts";
export { oneHot } from "./oneHot.ts";
export { pointwise } from "./pointwise.ts";
export { pow } from "./pow.ts";
export { quantizeLinear } from "./quantizeLinear.ts";
export { bernoulli, multinomial, randomNormal, randomUniform } from "./random.ts";
export { gru, lstm, recurrentSequence, recurrentStep, rnn } from "./recurrent.ts";
export { reduceMax, reduceMean, reduceMin, reduceSum } from "./reduce.ts";
export { reduceL1, reduceProd, reduceSumSquare } from "./reduceSums.ts";
export { reduceL2, reduceLogSum, reduceLogSumExp } from "./reduceComposed.ts";
export { resample, resampleGradient } from "./resample.ts";
export { flatten, reshape } from "./reshape.ts";
export { resize } from "./resize.ts";
export { reverseSequence } from "./reverseSequence.ts";
export { roiAlign } from "./roiAlign.ts";
export { scaledDotProductAttention } from "./scaledDotProductAttention.ts";
export { tensorScatter } from "./tensorScatter.ts";
export { rotaryEmbedding } from "./rotary.ts";
export { pad, slice } from "./slice.ts";
export { logSoftmax, softmax } from "./softmax.ts";
export { tile } from "./tile.ts";
export { standardization } from "./standardization.ts";
export { topK } from "./topK.ts";
export { gatherND, scatterND } from "./tuples.ts";
export { transpose } from "./transpose.ts";
export { eyeLike, trilu } from "./triangle.ts";
export { abs, sign } from "./magnitude.ts";
export { exp, log, neg, reciprocal, relu, sqrt } from "./unary.ts";
export { sigmoid, tanh } from "./sigmoid.ts";
export { cast } from "./cast.ts";
export { ceil, floor, round } from "./rounding.ts";
export { not } from "./logic.ts";
export { where } from "./where.ts";
export { mod } from "./mod.ts";
export { acos, acosh, asin, asinh, atan, atanh, cos, cosh, sin, sinh, tan } from "./trigonometric.ts";
export { winogradInput, winogradOutput, winogradWeights } from "./winograd.ts";
