// Every strategy of every kernel family, with every parameter set, on problems that matter: first what the adapter can do at
// best, then for each way to run each problem its time, its share of that, and whether the result is right.
//
//     npm run bench -- [matmul conv … | MatMul/tiled | host] [--shape 512x512,512x512] [--strategy registerTile]
//                      [--regret] [--json FILE] [--html FILE] [--software] [--browser | --serve]
//
// Times are GPU time from timestamp queries where the adapter has them, medians of samples taken in turns. `cpu` is
// processor time, which on a software adapter is the steadier measure of the two when the machine is busy.

import { benchHere, report } from "./kernels/node.ts";
import { parseCommandLine } from "./kernels/options.ts";

const options = parseCommandLine(process.argv.slice(2));
const measure = async () => {
  if (!options.browser && !options.serve) return benchHere(options);
  const { benchInChromium, serveBench } = await import("./page/serve.ts");
  return options.serve ? serveBench(options.what) : benchInChromium(options);
};
await report(options, measure);
