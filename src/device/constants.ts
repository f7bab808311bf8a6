// WebGPU's flag constants as plain numbers. Dawn in Node defines no globals, and a worker of an old browser may lack
// some, so nothing in Neurite reads GPUBufferUsage and its kin from the global scope.

/** `GPUBufferUsage`, by the specification's values. */
const bufferUsage = {
  MAP_READ: 0x0001,
  MAP_WRITE: 0x0002,
  COPY_SRC: 0x0004,
  COPY_DST: 0x0008,
  UNIFORM: 0x0040,
  STORAGE: 0x0080,
  INDIRECT: 0x0100,
  QUERY_RESOLVE: 0x0200,
} as const;

/** `GPUMapMode`, by the specification's values. */
export const mapMode = { READ: 0x0001, WRITE: 0x0002 } as const;

/** `GPUShaderStage`, by the specification's values. */
export const shaderStage = { COMPUTE: 0x4 } as const;

/** What a buffer is for; each kind stands for one fixed set of usages. */
export type BufferKind = "storage" | "uniform" | "upload" | "readback" | "indirect" | "query";

/** The usages of each {@link BufferKind}. */
export const usagesOf: Readonly<Record<BufferKind, number>> = {
  storage: bufferUsage.STORAGE | bufferUsage.COPY_SRC | bufferUsage.COPY_DST,
  uniform: bufferUsage.UNIFORM | bufferUsage.COPY_DST,
  upload: bufferUsage.MAP_WRITE | bufferUsage.COPY_SRC,
  readback: bufferUsage.MAP_READ | bufferUsage.COPY_DST,
  indirect: bufferUsage.INDIRECT | bufferUsage.STORAGE | bufferUsage.COPY_SRC | bufferUsage.COPY_DST,
  query: bufferUsage.QUERY_RESOLVE | bufferUsage.COPY_SRC,
};
