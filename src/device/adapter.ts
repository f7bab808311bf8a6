// What is known of an adapter, as plain data: for people (one line), for the tuning table's key and for bench results.

/** An adapter's identity and abilities, with no GPU object in it. */
export interface AdapterSummary {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** True when a CPU does the work (SwiftShader, llvmpipe, WARP …): right, but slow, and no guide to a GPU's timings. */
  readonly isSoftware: boolean;
  /** Features the adapter has, sorted; the device may have been granted fewer. */
  readonly features: readonly string[];
  /** Limits of the adapter that compute work can meet, by their WebGPU names. */
  readonly limits: Readonly<Record<string, number>>;
  /** One line for people, e.g. `SwiftShader driver 5.0.0 (google swiftshader, software)`. */
  readonly name: string;
}

/** Limits that compute work can meet. All are asked for at the adapter's own value. */
const computeLimits = [
  "maxBindGroups",
  "maxBindingsPerBindGroup",
  "maxBufferSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "maxDynamicUniformBuffersPerPipelineLayout",
  "maxSampledTexturesPerShaderStage",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxStorageTexturesPerShaderStage",
  "maxTextureDimension2D",
  "maxUniformBufferBindingSize",
  "maxUniformBuffersPerShaderStage",
  "minStorageBufferOffsetAlignment",
  "minUniformBufferOffsetAlignment",
] as const satisfies readonly (keyof GPUSupportedLimits)[];

/** Features asked for where the adapter has them. */
export const wantedFeatures = [
  "shader-f16",
  "subgroups",
  "timestamp-query",
] as const satisfies readonly GPUFeatureName[];

const softwareNames = /swiftshader|llvmpipe|lavapipe|softpipe|microsoft basic render|\bwarp\b/i;

/** The parts of `GPUAdapterInfo` that are read; implementations leave out some. */
export type AdapterInfo = Partial<
  Pick<GPUAdapterInfo, "vendor" | "architecture" | "device" | "description" | "isFallbackAdapter">
>;

/** True when `info` tells of a driver that runs on the CPU. */
export function isSoftwareAdapter(info: AdapterInfo): boolean {
  if (info.isFallbackAdapter === true) return true;
  return [info.vendor, info.architecture, info.device, info.description].some((text) => softwareNames.test(text ?? ""));
}

/** Summary of an adapter (or of a borrowed device: pass its `adapterInfo`, features and limits). */
export function summarizeAdapter(
  info: AdapterInfo | undefined,
  features: Iterable<string>,
  limits: GPUSupportedLimits,
): AdapterSummary {
  const { vendor = "", architecture = "", device = "", description = "" } = info ?? {};
  const isSoftware = isSoftwareAdapter(info ?? {});
  const family = `${vendor} ${architecture}`.trim();
  const title = description || device || family || "unnamed adapter";
  const notes = [...(family && family !== title ? [family] : []), ...(isSoftware ? ["software"] : [])];
  return {
    vendor,
    architecture,
    device,
    description,
    isSoftware,
    features: [...features].sort(),
    limits: limitsRecord(limits),
    name: notes.length === 0 ? title : `${title} (${notes.join(", ")})`,
  };
}

/** The {@link computeLimits} that this implementation knows, as a plain record. */
export function limitsRecord(limits: GPUSupportedLimits): Record<string, number> {
  const record: Record<string, number> = {};
  for (const name of computeLimits) {
    const value = limits[name] as number | undefined; // an older implementation may not know the name
    if (value !== undefined) record[name] = value;
  }
  return record;
}
