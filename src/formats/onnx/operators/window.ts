// The attributes of a sliding window, which convolutions and poolings share.

import type { WindowAttributes } from "../../../ops/window.ts";
import type { Call } from "../handler.ts";

/** The window of a node, for handlers that read its other attributes themselves. */
export function windowOf(call: Call): WindowAttributes {
  return {
    auto_pad: call.string("auto_pad", "NOTSET"),
    dilations: call.ints("dilations", [])!,
    kernel_shape: call.ints("kernel_shape", [])!,
    pads: call.ints("pads", [])!,
    strides: call.ints("strides", [])!,
  };
}
