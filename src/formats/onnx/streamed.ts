// A weight that stays where the model's file is until a GPU wants it, and goes there in chunks. Whatever else asks for its
// elements gets an error that the importer answers by reading them, once, and trying again.

import type { DType, TypedArray } from "../../core/dtype.ts";
import { NeuriteError } from "../../core/errors.ts";
import { sizeOf, type Shape } from "../../core/shape.ts";
import type { TensorData } from "../../core/tensorData.ts";

/** Thrown where a streamed tensor's elements are needed on the host. */
export class NeedsContents extends NeuriteError {
  constructor(readonly tensor: StreamedTensor) {
    super(`the contents of "${tensor.name}" are still in the model's file`);
  }
}

export class StreamedTensor implements TensorData {
  readonly immutable = true;
  private contents: TypedArray | undefined;

  constructor(
    readonly name: string,
    readonly dtype: DType,
    readonly shape: Shape,
    /** `count` elements from `first` on, in the words that graphs compute with. */
    readonly read: (first: number, count: number) => Promise<TypedArray>,
  ) {}

  get data(): TypedArray {
    if (!this.contents) throw new NeedsContents(this);
    return this.contents;
  }

  /** Reads all elements and keeps them. */
  async load(): Promise<void> {
    this.contents ??= await this.read(0, sizeOf(this.shape));
  }
}

/** Carries out `work`; where that needs what is still in the file, reads it and begins again. */
export async function withContents<T>(work: () => T | Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof NeedsContents)) throw error;
      await error.tensor.load();
    }
  }
}
