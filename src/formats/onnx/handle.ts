// What the importer holds for each named tensor of a model while it walks the nodes.

import type { DType } from "../../core/dtype.ts";
import type { Shape } from "../../core/shape.ts";
import type { Value } from "../../graph/graph.ts";
import { exceedsWords, type HostValue } from "./tensor.ts";

/** Where a tensor's contents come from, which decides what may be made of them. */
type Origin =
  /** The file, or shapes alone: the same in every run. */
  | "constant"
  /** An input of the model: different in every run, and known on the host from its start. */
  | "input"
  /** Known on the host in this run (a loop's counter, the result of a host step). */
  | "run"
  /** A node of the segment's graph. */
  | "computed";

/** One tensor. It has a place in the current graph, contents on the host, or both. */
export class Handle {
  /** The graph segment `value` belongs to. */
  segment = -1;
  value: Value | undefined;
  private checked: HostValue | undefined;
  private exceeds = false;

  constructor(
    readonly dtype: DType,
    readonly shape: Shape,
    readonly name: string,
    public origin: Origin,
    /** Contents, when known on the host. */
    public host: HostValue | undefined,
  ) {}

  /** Holds 64-bit integers that do not fit the 32 bits of a graph's words. */
  get exceedsWords(): boolean {
    if (this.checked !== this.host) {
      this.checked = this.host;
      this.exceeds = this.host !== undefined && exceedsWords(this.host);
    }
    return this.exceeds;
  }
}

/** A list of tensors, for ONNX's sequence operators. */
export class SequenceHandle {
  constructor(
    readonly items: readonly Handle[],
    readonly dtype: DType | undefined,
  ) {}
}

/** Names visible in a graph or subgraph. */
export class Scope {
  private readonly names = new Map<string, Handle | SequenceHandle>();
  /** The node being carried out: names that nothing from here on reads need not outlive a segment. */
  position = 0;

  constructor(
    private readonly parent: Scope | undefined,
    /** For every name, the last node that reads it; Infinity for outputs. */
    private readonly lastUse: ReadonlyMap<string, number>,
    /** A function sees its own names only; those around its call stay alive all the same. */
    private readonly seesParent = true,
  ) {}

  get(name: string): Handle | SequenceHandle | undefined {
    return this.names.get(name) ?? (this.seesParent ? this.parent?.get(name) : undefined);
  }

  set(name: string, handle: Handle | SequenceHandle): void {
    this.names.set(name, handle);
  }

  /** Every tensor that this node or a later one reads, here and in the graphs around. */
  *live(): Iterable<Handle> {
    for (const [name, handle] of this.names) {
      if ((this.lastUse.get(name) ?? -1) < this.position) continue;
      if (handle instanceof Handle) yield handle;
      else yield* handle.items;
    }
    if (this.parent) yield* this.parent.live();
  }
}
