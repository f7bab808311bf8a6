// Compute pipelines, compiled once per distinct WGSL text and shared by every model on the device. All have one explicit
// layout: group 0 binding i = the i-th storage buffer; group 1 binding 0 = one uniform buffer with a dynamic offset, for
// kernels that have uniforms. Equal layouts are one object, so bind groups fit every pipeline of their layout.

import { UnsupportedError } from "../core/errors.ts";
import { shaderStage } from "./constants.ts";

/** How a kernel's storage buffers are bound, in order of binding, and whether it has a uniform buffer. */
export interface KernelLayout {
  readonly storage: readonly ("read" | "read_write")[];
  readonly uniform: boolean;
}

/** A compiled kernel. */
export interface GpuPipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: KernelLayout;
  /** Layout of group 0 (storage) and, for kernels with uniforms, of group 1. */
  readonly bindGroupLayouts: readonly GPUBindGroupLayout[];
  /** The label under which this WGSL was first compiled. */
  readonly label: string;
}

const entryPoint = "main";

/** The pipeline, bind-group-layout and pipeline-layout caches of one device. */
export class Pipelines {
  private readonly pipelines = new Map<string, Promise<GpuPipeline>>();
  private readonly storageLayouts = new Map<string, GPUBindGroupLayout>();
  private readonly pipelineLayouts = new Map<string, GPUPipelineLayout>();
  private uniformLayout: GPUBindGroupLayout | undefined;

  constructor(
    private readonly device: GPUDevice,
    private readonly onCreated: () => void,
  ) {}

  /** Rejects with {@link GpuValidationError} (source lines included) or {@link UnsupportedError} (too many bindings). */
  get(
    wgsl: string,
    label: string,
    layout: KernelLayout,
    constants: Readonly<Record<string, number>>,
  ): Promise<GpuPipeline> {
    const overrides = Object.entries(constants).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = `${layoutKey(layout)} ${JSON.stringify(overrides)}\n${wgsl}`;
    let pipeline = this.pipelines.get(key);
    if (pipeline === undefined) {
      pipeline = this.create(wgsl, label, layout, Object.fromEntries(overrides));
      this.pipelines.set(key, pipeline);
      pipeline.catch(() => this.pipelines.delete(key)); // a failure is reported each time it is asked for
    }
    return pipeline;
  }

  private async create(
    wgsl: string,
    label: string,
    layout: KernelLayout,
    constants: Record<string, number>,
  ): Promise<GpuPipeline> {
    const { device } = this;
    const limit = device.limits.maxStorageBuffersPerShaderStage;
    if (layout.storage.length > limit)
      throw new UnsupportedError(
        `${label}: ${layout.storage.length} storage buffers, and this device allows ${limit} (maxStorageBuffersPerShaderStage)`,
      );
    const bindGroupLayouts = this.bindGroupLayouts(layout);
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ code: wgsl, label });
    const moduleError = device.popErrorScope();
    try {
      const pipeline = await device.createComputePipelineAsync({
        label,
        layout: this.pipelineLayout(layout, bindGroupLayouts),
        compute: { module, entryPoint, constants },
      });
      await moduleError;
      this.onCreated();
      return { pipeline, layout, bindGroupLayouts, label };
    } catch (cause) {
      const { compileError } = await import("./compileError.ts"); // kernels that compile do not load it
      throw await compileError(wgsl, label, module, moduleError, cause);
    }
  }

  private bindGroupLayouts(layout: KernelLayout): GPUBindGroupLayout[] {
    const { device } = this;
    const key = storageKey(layout);
    let storage = this.storageLayouts.get(key);
    if (storage === undefined) {
      const entries = layout.storage.map(
        (access, binding): GPUBindGroupLayoutEntry => ({
          binding,
          visibility: shaderStage.COMPUTE,
          buffer: { type: access === "read" ? "read-only-storage" : "storage" },
        }),
      );
      storage = device.createBindGroupLayout({ label: `storage ${key}`, entries });
      this.storageLayouts.set(key, storage);
    }
    if (!layout.uniform) return [storage];
    this.uniformLayout ??= device.createBindGroupLayout({
      label: "uniforms",
      entries: [{ binding: 0, visibility: shaderStage.COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } }],
    });
    return [storage, this.uniformLayout];
  }

  private pipelineLayout(layout: KernelLayout, bindGroupLayouts: GPUBindGroupLayout[]): GPUPipelineLayout {
    const key = layoutKey(layout);
    let pipelineLayout = this.pipelineLayouts.get(key);
    if (pipelineLayout === undefined) {
      pipelineLayout = this.device.createPipelineLayout({ label: key, bindGroupLayouts });
      this.pipelineLayouts.set(key, pipelineLayout);
    }
    return pipelineLayout;
  }
}

/** `rrw`: one letter a storage buffer, r(ead) or w(ritten too). */
function storageKey(layout: KernelLayout): string {
  return layout.storage.map((access) => (access === "read" ? "r" : "w")).join("");
}

function layoutKey(layout: KernelLayout): string {
  return `${storageKey(layout)}${layout.uniform ? "+uniforms" : ""}`;
}
