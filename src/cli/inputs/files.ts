// A model's inputs from what a command line says: files of tensors, pictures and sound, bare numbers, random values.

import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { dtypes, isFloat, type DType } from "../../core/dtype.ts";
import { UnsupportedError, UsageError } from "../../core/errors.ts";
import { Random } from "../../core/random.ts";
import { sizeOf, type Shape } from "../../core/shape.ts";
import { imageTensor, type ImageOptions } from "../../data/image.ts";
import { asNumbers, isStoredDType, naturalElements } from "../../formats/elements.ts";
import { decodeNpy } from "../../formats/npy.ts";
import { decodeTensor } from "../../formats/onnx/decode.ts";
import type { OnnxInput } from "../../formats/onnx/load.ts";
import type { ValueInfo } from "../../formats/onnx/model.ts";
import type { OnnxArray } from "../../formats/onnx/tensor.ts";
import { decodeImage, decodeSound } from "./decoders.ts";

/** Extents of symbolic dimensions, by name. */
export type Dims = Readonly<Record<string, number>>;

/** How pictures become tensors; what is left out follows from the shape the model declares. */
export type PictureOptions = Pick<ImageOptions, "width" | "height" | "mean" | "std" | "scale" | "layout" | "bgr">;

/** Reads what `text` names (a file, or numbers `1,2,3`) for one input of a model. */
export async function readInput(
  info: ValueInfo,
  text: string,
  dims: Dims,
  pictures: PictureOptions,
): Promise<OnnxInput> {
  const numbers = bareNumbers(text);
  if (numbers) return numbers;
  const bytes = await readFile(text);
  switch (extname(text).toLowerCase()) {
    case ".npy": {
      const { dtype, shape, data } = decodeNpy(bytes);
      return converted(info, dtype, shape, data);
    }
    case ".pb": {
      const { dtype, shape, bytes: elements } = decodeTensor(bytes);
      if (!isStoredDType(dtype)) throw new UnsupportedError(`${text} holds ${dtype}, which cannot be computed with`);
      return converted(info, dtype, shape, naturalElements(elements, dtype));
    }
    case ".png":
    case ".jpg":
    case ".jpeg": {
      const kind = text.toLowerCase().endsWith("png") ? "png" : "jpeg";
      return picture(info, await decodeImage(bytes, kind, text), dims, pictures);
    }
    case ".wav":
      return (await decodeSound(bytes, text)).samples;
    default:
      throw new UsageError(`${text}: expected .npy, .pb, .png, .jpg or .wav, or numbers such as 1,2,3`);
  }
}

/** `1,2.5,-3` as numbers; undefined for anything else. */
function bareNumbers(text: string): number[] | undefined {
  const parts = text.split(",").map((part) => part.trim());
  const numbers = parts.map(Number);
  return parts.every((part, i) => part !== "" && (part === "NaN" || !Number.isNaN(numbers[i]))) ? numbers : undefined;
}

/** NumPy makes float64 and int64 of everything: a type that is not the model's is converted, with a check of its range. */
function converted(info: ValueInfo, dtype: string, shape: Shape, data: OnnxArray): OnnxInput {
  if (dtype === info.dtype || info.dtype === "undefined") return { shape, data };
  return { shape, data: Float64Array.from(asNumbers(data)) };
}

function picture(
  info: ValueInfo,
  pixels: Parameters<typeof imageTensor>[0],
  dims: Dims,
  options: PictureOptions,
): OnnxInput {
  const declared = info.shape?.map((extent) => (typeof extent === "number" ? extent : dims[extent]));
  if (declared && declared.length !== 3 && declared.length !== 4)
    throw new UsageError(`input "${info.name}" has ${declared.length} axes; a picture has 3 or 4`);
  const axes = declared?.slice(-3); // [C, H, W] or [H, W, C]
  const isChannels = (extent: number | undefined): boolean => extent === 1 || extent === 3;
  const layout = options.layout ?? (axes && !isChannels(axes[0]) && isChannels(axes[2]) ? "nhwc" : "nchw");
  const [channels, height, width] = layout === "nchw" ? (axes ?? []) : [axes?.[2], axes?.[0], axes?.[1]];
  const tensor = imageTensor(pixels, {
    // A model of bytes wants the bytes.
    scale: info.dtype === "uint8" ? 1 : 255,
    ...(height !== undefined && { height }),
    ...(width !== undefined && { width }),
    ...(channels === 1 && { channels }),
    ...options,
    layout,
  });
  const shape = declared?.length === 3 ? tensor.shape.slice(1) : tensor.shape;
  const isWhole = info.dtype !== "undefined" && isStoredDType(info.dtype) && !info.dtype.includes("float");
  return { shape, data: isWhole ? Float32Array.from(tensor.data, Math.round) : tensor.data };
}

/** Whole numbers below this are drawn for integer inputs: small enough for token numbers and most indices. */
const RANDOM_INTEGERS = 10;

/** Random values for an input: floats in [-1, 1), small whole numbers, both truth values. The same seed gives the same. */
export function randomInput(info: ValueInfo, seed: number, stream: number, dims: Dims): OnnxInput {
  const { name, dtype } = info;
  const open = info.shape?.filter((extent) => typeof extent === "string" && dims[extent] === undefined) ?? ["?"];
  if (open.length > 0) {
    const wish = open[0] === "" || open[0] === "?" ? "give the input" : `give the input, or --dims ${open[0]}=…`;
    throw new UsageError(`input "${name}": its shape is open, so no random values can be made; ${wish}`);
  }
  if (!(dtype in dtypes)) throw new UnsupportedError(`input "${name}" is ${dtype}, which cannot be computed with`);
  const type = dtype as DType;
  const shape = info.shape!.map((extent) => (typeof extent === "number" ? extent : dims[extent]!));
  const random = new Random(seed, stream);
  const draw = isFloat(type)
    ? () => 2 * random.uniform() - 1
    : () => random.integer(dtypes[type].kind === "bool" ? 2 : RANDOM_INTEGERS);
  return { shape, data: Float64Array.from({ length: sizeOf(shape) }, draw) };
}
