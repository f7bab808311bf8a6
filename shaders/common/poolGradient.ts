// What the gradients of pooling share: from an element of the input to the windows that hold it.

import { split } from "./poolWindow.ts";

/** The invocation's input element: `plane`, `d`, `h`, `w`. */
export const SPLIT_ELEMENT = split("u.in", ["d", "h", "w"]);

/** `body` run for each window (`od`, `oh`, `ow`) that holds input element (`d`, `h`, `w`). */
export const eachWindow = (body: string): string => `
  for (var kd = 0; kd < u.kernel_d; kd++) {
    let reach_d = d + u.pad_d - kd * u.dilation_d;
    let od = reach_d / u.stride_d;
    if (reach_d < 0 || od >= u.out_d || od * u.stride_d != reach_d) { continue; }
    for (var kh = 0; kh < u.kernel_h; kh++) {
      let reach_h = h + u.pad_h - kh * u.dilation_h;
      let oh = reach_h / u.stride_h;
      if (reach_h < 0 || oh >= u.out_h || oh * u.stride_h != reach_h) { continue; }
      var partial = 0.0;
      for (var kw = 0; kw < u.kernel_w; kw++) {
        let reach_w = w + u.pad_w - kw * u.dilation_w;
        let ow = reach_w / u.stride_w;
        if (reach_w < 0 || ow >= u.out_w || ow * u.stride_w != reach_w) { continue; }
        let place = ((plane * u.out_d + od) * u.out_h + oh) * u.out_w + ow;
        ${body}
      }
      total += partial;
    }
  }`;
