// Fusion decides which nodes become one dispatch. The graph stays as it is; the result is a list of groups:
//   - a heavy node alone, or with the pointwise chain that follows it as its epilogue, and, where the heavy node reads its
//     first input but a few times, with the pointwise nodes that make it as its prologue;
//   - a set of pointwise nodes over one domain, with as many results as others need.
// A group must be convex (nothing outside lies on a path between two of its nodes) and fit the binding limit.

import { broadcastShapes } from "../../core/broadcast.ts";
import { sameShape, sizeOf, type Shape } from "../../core/shape.ts";
import { consumersOf, type Graph, type Node, type Value } from "../graph.ts";

/** Nodes that run as one dispatch. */
export interface Group {
  /** The heavy node, if there is one; the other nodes are its epilogue and prologue. */
  readonly anchor: Node | undefined;
  /** Those that make the heavy node's first input, in topological order; none of their results is in memory. */
  readonly prologue: readonly Node[];
  /** In topological order. */
  readonly nodes: readonly Node[];
  /** Tensors read from memory: the anchor's inputs first. Scalars known in advance are not among them. */
  readonly inputs: readonly Value[];
  /** Tensors written to memory. */
  readonly outputs: readonly Value[];
}

export interface FuseOptions {
  /** Storage buffers a dispatch may bind. */
  readonly maxBindings: number;
  /** Count on writing updated variables in place, which saves bindings. Default true. */
  readonly inPlace?: boolean;
  /** Merge pointwise nodes with each other. Default true. */
  readonly pointwise?: boolean;
  /** Merge pointwise nodes into the epilogue of heavy nodes. Default true. */
  readonly epilogue?: boolean;
  /** Merge pointwise nodes into the prologue of heavy nodes that stream through their first input. Default true. */
  readonly prologue?: boolean;
}

/** Partitions the graph's nodes; aliasing nodes (Reshape) belong to no group. Groups come in no particular order. */
export function fuse(graph: Graph, options: FuseOptions): Group[] {
  const fuser = new Fuser(graph, options);
  if (options.epilogue ?? true) fuser.growEpilogues();
  if (options.prologue ?? true) fuser.growPrologues();
  fuser.groupPointwise(options.pointwise ?? true);
  return fuser.groups();
}

/** True where the constant is a literal in the kernel's text instead of a binding. */
export function isLiteral(graph: Graph, value: Value): boolean {
  return graph.constants.has(value) && sizeOf(value.shape) === 1;
}

class Draft {
  readonly nodes = new Set<Node>();
  readonly prologue = new Set<Node>();
  constructor(
    readonly anchor: Node | undefined,
    public domain: Shape,
    nodes: Iterable<Node>,
  ) {
    for (const node of nodes) this.nodes.add(node);
  }
}

class Fuser {
  private readonly consumers: Map<Value, Node[]>;
  private readonly draftOf = new Map<Node, Draft>();
  /** Values that must be in memory after the run. */
  private readonly escaping: Set<Value>;
  /** New contents of variables → the variable's value. */
  private readonly updated: Map<Value, Value>;

  constructor(
    private readonly graph: Graph,
    private readonly options: FuseOptions,
  ) {
    this.consumers = consumersOf(graph);
    this.escaping = new Set([...graph.outputs.values(), ...graph.updates.values()]);
    this.updated = new Map([...graph.updates].map(([variable, value]) => [value, variable]));
  }

  /** Gives every heavy node a draft and lets it swallow the single-use pointwise chain behind it. */
  growEpilogues(): void {
    for (const anchor of this.graph.nodes) {
      if (anchor.operator.pointwise || anchor.operator.alias || anchor.outputs.length !== 1) continue;
      const draft = new Draft(anchor, anchor.outputs[0]!.shape, [anchor]);
      this.draftOf.set(anchor, draft);
      let value = anchor.outputs[0]!;
      for (;;) {
        const next = this.epilogueStep(draft, value);
        if (!next) break;
        for (const node of next) {
          draft.nodes.add(node);
          this.draftOf.set(node, draft);
        }
        value = next.at(-1)!.outputs[0]!;
      }
    }
  }

  /** The nodes that join the epilogue to compute the single consumer of `value`, that consumer last. */
  private epilogueStep(draft: Draft, value: Value): Node[] | undefined {
    const consumer = this.soleConsumer(value);
    if (!consumer?.operator.pointwise || this.draftOf.has(consumer)) return undefined;
    if (!sameShape(consumer.outputs[0]!.shape, draft.domain)) return undefined;
    // Kernels store what they declare: a chain that turns numbers into bools starts a dispatch of its own.
    if (consumer.outputs[0]!.dtype !== value.dtype) return undefined;
    const joined = [consumer];
    const members = new Set([...draft.nodes, consumer]);
    for (const node of joined)
      for (const input of node.inputs) {
        const producer = input?.node;
        if (!producer?.operator.pointwise || members.has(producer) || this.draftOf.has(producer)) continue;
        // What the anchor itself reads must be there before it starts.
        if (draft.anchor?.inputs.includes(producer.outputs[0]) || !this.onlyUsedBy(producer, members)) continue;
        joined.push(producer);
        members.add(producer);
      }
    if (!this.fits(members, draft.anchor)) return undefined;
    // Only a pointwise group can write a variable that it reads in place; an epilogue would cost a copy.
    const variable = this.updated.get(consumer.outputs[0]!);
    if (variable && this.reads(members, draft.anchor).includes(variable)) return undefined;
    if (this.dependsThroughOutside(joined, members)) return undefined;
    return joined.sort((a, b) => a.id - b.id);
  }

  /** Lets heavy nodes swallow the pointwise nodes that make their first input and nothing else. */
  growPrologues(): void {
    for (const anchor of this.graph.nodes) {
      if (!anchor.operator.spread) continue;
      const draft = this.draftOf.get(anchor) ?? new Draft(anchor, anchor.outputs[0]!.shape, [anchor]);
      this.draftOf.set(anchor, draft);
      const [made] = anchor.inputs;
      const pending = made?.node && anchor.inputs.indexOf(made, 1) < 0 ? [made.node] : [];
      while (pending.length > 0) {
        const node = pending.shift()!;
        if (!this.joinsPrologue(node, draft)) continue;
        draft.prologue.add(node);
        draft.nodes.add(node);
        this.draftOf.set(node, draft);
        for (const input of node.inputs) if (input?.node) pending.push(input.node);
      }
    }
  }

  private joinsPrologue(node: Node, { anchor, nodes, prologue }: Draft): boolean {
    if (!node.operator.pointwise || this.draftOf.has(node)) return false;
    if (!this.onlyUsedBy(node, new Set([anchor!, ...prologue]))) return false;
    const members = new Set([...nodes, node]);
    return this.fits(members, anchor) && !this.dependsThroughOutside([node], members);
  }

  /** Groups the remaining pointwise nodes. */
  groupPointwise(merge: boolean): void {
    for (const node of this.graph.nodes) {
      if (node.operator.alias || this.draftOf.has(node)) continue;
      const draft = new Draft(node.operator.pointwise ? undefined : node, node.outputs[0]!.shape, [node]);
      this.draftOf.set(node, draft);
      if (!merge || !node.operator.pointwise) continue;
      for (const input of node.inputs) {
        const producer = input?.node && this.draftOf.get(input.node);
        const own = this.draftOf.get(node)!;
        if (producer && producer !== own && !producer.anchor) this.tryMerge(producer, own);
      }
    }
  }

  private tryMerge(producer: Draft, consumer: Draft): void {
    const domain = this.mergedDomain(producer, consumer);
    if (!domain) return;
    const members = new Set([...producer.nodes, ...consumer.nodes]);
    if (!this.fits(members, undefined)) return;
    if (this.dependsThroughOutside(members, members)) return;
    consumer.domain = domain;
    for (const node of producer.nodes) {
      consumer.nodes.add(node);
      this.draftOf.set(node, consumer);
    }
  }

  /** The domain both can run over: the same one, or the consumer's if the producer's results are used nowhere else. */
  private mergedDomain(producer: Draft, consumer: Draft): Shape | undefined {
    if (sameShape(producer.domain, consumer.domain)) return consumer.domain;
    const members = new Set([...producer.nodes, ...consumer.nodes]);
    for (const node of producer.nodes) if (!this.onlyUsedBy(node, members)) return undefined;
    const common = broadcastShapes([producer.domain, consumer.domain], "fuse");
    return sameShape(common, consumer.domain) ? consumer.domain : undefined;
  }

  groups(): Group[] {
    return [...new Set(this.draftOf.values())].map(({ anchor, nodes, prologue }) => {
      const ordered = [...nodes].sort((a, b) => a.id - b.id);
      return {
        anchor,
        nodes: ordered,
        prologue: ordered.filter((node) => prologue.has(node)),
        inputs: this.reads(nodes, anchor),
        outputs: this.writes(nodes),
      };
    });
  }

  /** Values the nodes read from outside, the anchor's first. */
  private reads(nodes: ReadonlySet<Node>, anchor: Node | undefined): Value[] {
    const reads = new Set<Value>();
    for (const input of anchor?.inputs ?? []) if (input && !(input.node && nodes.has(input.node))) reads.add(input);
    for (const node of [...nodes].sort((a, b) => a.id - b.id))
      for (const input of node.inputs)
        if (input && !(input.node && nodes.has(input.node)) && !(node !== anchor && isLiteral(this.graph, input)))
          reads.add(input);
    return [...reads];
  }

  /** Values of the nodes that something outside needs. An anchor with several outputs stores them all. */
  private writes(nodes: ReadonlySet<Node>): Value[] {
    return [...nodes]
      .sort((a, b) => a.id - b.id)
      .flatMap((node) => node.outputs.filter((output) => node.outputs.length > 1 || this.isUsedOutside(output, nodes)));
  }

  private isUsedOutside(value: Value, nodes: ReadonlySet<Node>): boolean {
    return this.escaping.has(value) || (this.consumers.get(value) ?? []).some((consumer) => !nodes.has(consumer));
  }

  private onlyUsedBy(node: Node, members: ReadonlySet<Node>): boolean {
    return node.outputs.every((output) => !this.isUsedOutside(output, members));
  }

  private soleConsumer(value: Value): Node | undefined {
    const consumers = this.consumers.get(value) ?? [];
    return consumers.length === 1 && !this.escaping.has(value) ? consumers[0] : undefined;
  }

  private fits(nodes: ReadonlySet<Node>, anchor: Node | undefined): boolean {
    const reads = this.reads(nodes, anchor);
    const writes = this.writes(nodes);
    // A kernel binds each of its inputs, also where two are the same tensor.
    const repeated = anchor ? anchor.inputs.filter(Boolean).length - new Set(anchor.inputs.filter(Boolean)).size : 0;
    const spare = this.options.maxBindings - reads.length - repeated - writes.length;
    return spare >= 0 || (!anchor && spare + this.inPlace(nodes, reads, writes) >= 0);
  }

  /**
   * How many writes need no binding of their own, because they update a variable that is read. Not counted where something
   * that reads the old contents has to run after the group: the new ones are then written elsewhere and copied.
   */
  private inPlace(nodes: ReadonlySet<Node>, reads: readonly Value[], writes: readonly Value[]): number {
    if (this.options.inPlace === false) return 0;
    return writes.filter((value) => {
      const variable = this.updated.get(value);
      if (!variable || !sameShape(variable.shape, value.shape) || !reads.includes(variable)) return false;
      const readers = (this.consumers.get(variable) ?? []).filter((reader) => !nodes.has(reader));
      return !this.reaches(readers, nodes);
    }).length;
  }

  /** True if one of `nodes` depends on one of `members` by way of something outside. */
  private dependsThroughOutside(nodes: Iterable<Node>, members: ReadonlySet<Node>): boolean {
    const outside = [...nodes].flatMap((node) =>
      node.inputs.flatMap((input) => (input?.node && !members.has(input.node) ? [input.node] : [])),
    );
    return this.reaches(outside, members);
  }

  /** True if any of `pending`, or anything their groups need, is one of `targets`. Works on whole groups: they run as one. */
  private reaches(pending: Node[], targets: ReadonlySet<Node>): boolean {
    const seen = new Set<Node>();
    while (pending.length > 0) {
      const node = pending.pop()!;
      if (seen.has(node)) continue;
      if (targets.has(node)) return true;
      seen.add(node);
      for (const member of this.draftOf.get(node)?.nodes ?? [node]) {
        if (targets.has(member)) return true;
        seen.add(member);
        for (const input of member.inputs) if (input?.node && !seen.has(input.node)) pending.push(input.node);
      }
    }
    return false;
  }
}
