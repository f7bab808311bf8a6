import col2Im from "./col2ImNaive.ts";
import concat from "./concatNaive.ts";
import pad from "./padNaive.ts";
import reverseSequence from "./reverseSequenceNaive.ts";
import slice from "./sliceNaive.ts";

export default [col2Im, concat, pad, reverseSequence, slice];
