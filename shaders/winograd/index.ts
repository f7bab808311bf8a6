import input from "./input.ts";
import output from "./output.ts";
import weights from "./weights.ts";

export default [weights, input, output];
