import averagePoolGradientNaive from "./averagePoolGradientNaive.ts";
import averagePoolNaive from "./averagePoolNaive.ts";
import maxPoolGradientBlocks from "./maxPoolGradientBlocks.ts";
import maxPoolGradientNaive from "./maxPoolGradientNaive.ts";
import maxPoolNaive from "./maxPoolNaive.ts";
import maxPoolUnrolled from "./maxPoolUnrolled.ts";

export default [
  averagePoolGradientNaive,
  averagePoolNaive,
  maxPoolGradientBlocks,
  maxPoolGradientNaive,
  maxPoolNaive,
  maxPoolUnrolled,
];
