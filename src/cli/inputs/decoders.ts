// Pictures and sound from files. The decoders are optional packages, loaded when a file needs them.

import { FormatError, UnsupportedError } from "../../core/errors.ts";
import type { Pixels } from "../../data/image.ts";

/** A PNG or JPEG file's pixels. */
export async function decodeImage(bytes: Uint8Array, kind: "png" | "jpeg", file: string): Promise<Pixels> {
  if (kind === "png") {
    const { PNG } = await optional(import("pngjs"), "pngjs", file);
    return damaged(file, () => PNG.sync.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)));
  }
  const { default: jpeg } = await optional(import("jpeg-js"), "jpeg-js", file);
  return damaged(file, () => jpeg.decode(bytes, { useTArray: true, formatAsRGBA: true }));
}

/** Sound as one channel in [-1, 1]; several are averaged. */
export async function decodeSound(
  bytes: Uint8Array,
  file: string,
): Promise<{ readonly samples: Float32Array; readonly sampleRate: number }> {
  const { default: wavefile } = await optional(import("wavefile"), "wavefile", file);
  return damaged(file, () => {
    const wave = new wavefile.WaveFile(bytes);
    if (wave.bitDepth === "4") wave.fromIMAADPCM();
    else if (wave.bitDepth === "8a") wave.fromALaw();
    else if (wave.bitDepth === "8m") wave.fromMuLaw();
    const decoded: unknown = wave.getSamples();
    const channels = (Array.isArray(decoded) ? decoded : [decoded]) as readonly Float64Array[];
    const { middle, full } = rangeOf(wave.bitDepth);
    const samples = Float32Array.from(channels[0] ?? [], (_, i) => {
      const sum = channels.reduce((total, channel) => total + channel[i]! - middle, 0);
      return sum / channels.length / full;
    });
    return { samples, sampleRate: (wave.fmt as { readonly sampleRate: number }).sampleRate };
  });
}

/** Silence and the largest amplitude of samples of a bit depth; floats are within [-1, 1] already. */
function rangeOf(bitDepth: string): { readonly middle: number; readonly full: number } {
  if (bitDepth === "32f" || bitDepth === "64") return { middle: 0, full: 1 };
  return { middle: bitDepth === "8" ? 128 : 0, full: 2 ** (Number(bitDepth) - 1) };
}

async function optional<T>(module: Promise<T>, name: string, file: string): Promise<T> {
  try {
    return await module;
  } catch (cause) {
    throw new UnsupportedError(`${file}: reading it needs the package ${name}: npm install ${name}`, { cause });
  }
}

function damaged<T>(file: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    throw new FormatError(`${file}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
