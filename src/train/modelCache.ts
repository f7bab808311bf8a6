// Compiled plans of one kind, one a batch shape: a last, smaller batch gets a plan of its own.

import type { Model } from "../runtime/model.ts";

/** Plans of one kind that are kept, one a batch shape. */
const MOST_PLANS = 8;

/** Compiled models by batch type; the least recently used go. */
export class ModelCache {
  private readonly models = new Map<string, Promise<Model>>();

  get(key: string, compile: () => Promise<Model>): Promise<Model> {
    let model = this.models.get(key);
    if (model) this.models.delete(key);
    else {
      model = Promise.resolve().then(compile);
      const failing = model;
      model.catch(() => this.models.get(key) === failing && this.models.delete(key));
    }
    this.models.set(key, model);
    if (this.models.size > MOST_PLANS) this.drop(this.models.keys().next().value!);
    return model;
  }

  dispose(): void {
    for (const key of [...this.models.keys()]) this.drop(key);
  }

  private drop(key: string): void {
    const model = this.models.get(key);
    this.models.delete(key);
    model?.then(
      (compiled) => compiled.dispose(),
      () => undefined,
    );
  }
}
