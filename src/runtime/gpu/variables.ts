// Where variables live on the GPU: one buffer each, shared by every plan that names them (training, evaluation, …).

import { dtypes } from "../../core/dtype.ts";
import { sizeOf } from "../../core/shape.ts";
import type { Gpu } from "../../device/gpu.ts";
import type { Variable } from "../../graph/variable.ts";

export class GpuVariables {
  private readonly buffers = new Map<Variable, GpuBuffer>();

  constructor(private readonly gpu: Gpu) {}

  /** The variable's buffer, made and filled on first use. */
  buffer(variable: Variable): GpuBuffer {
    let buffer = this.buffers.get(variable);
    if (!buffer) {
      buffer = this.gpu.createBuffer(sizeBytesOf(variable), "storage", variable.name);
      this.gpu.write(buffer, variable.data.data);
      this.buffers.set(variable, buffer);
    }
    return buffer;
  }

  async pull(variables: Iterable<Variable>): Promise<void> {
    const resident = [...variables].flatMap((variable) => {
      const buffer = this.buffers.get(variable);
      return buffer ? [{ variable, buffer }] : [];
    });
    const contents = await this.gpu.read(
      resident.map(({ variable, buffer }) => ({ buffer, sizeBytes: sizeBytesOf(variable) })),
    );
    resident.forEach(({ variable }, i) => {
      const { dtype, shape } = variable;
      variable.data = { dtype, shape, data: dtypes[dtype].view(contents[i]!) };
    });
  }

  push(variables: Iterable<Variable>): void {
    for (const variable of variables) {
      const buffer = this.buffers.get(variable);
      if (buffer) this.gpu.write(buffer, variable.data.data);
    }
  }

  release(variables: Iterable<Variable>): void {
    for (const variable of variables) {
      const buffer = this.buffers.get(variable);
      if (buffer) this.gpu.destroyBuffer(buffer);
      this.buffers.delete(variable);
    }
  }

  dispose(): void {
    this.release([...this.buffers.keys()]);
  }
}

function sizeBytesOf({ dtype, shape }: Pick<Variable, "dtype" | "shape">): number {
  return sizeOf(shape) * dtypes[dtype].sizeBytes;
}

type GpuBuffer = ReturnType<Gpu["createBuffer"]>;
