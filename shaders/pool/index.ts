import averagePoolGradientNaive from "./averagePoolGradientNaive.ts";
import averagePoolNaive from "./averagePoolNaive.ts";
import maxPoolGradientNaive from "./maxPoolGradientNaive.ts";
import maxPoolNaive from "./maxPoolNaive.ts";

export default [averagePoolGradientNaive, averagePoolNaive, maxPoolGradientNaive, maxPoolNaive];
