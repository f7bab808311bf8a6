// Pointwise programs for tests: one instruction for a single operator, or a few written by hand.

import type { DType } from "../../src/core/dtype.ts";
import type { Shape, TensorType } from "../../src/core/shape.ts";
import type { Attributes, Operator } from "../../src/ops/operator.ts";
import type { Instruction, KernelProblem, PointwiseProgram, Register } from "../../shaders/strategy.ts";

/** The program that applies one elementwise operator to its inputs. */
export function singleProgram(
  operator: Operator,
  inputs: readonly TensorType[],
  output: TensorType,
  attributes: Attributes,
): PointwiseProgram {
  const args = inputs.map((_, index): Register => ({ kind: "input", index }));
  return { domain: output.shape, inputs, instructions: [{ operator, attributes, args, type: output }], outputs: [0] };
}

/** The problem `Pointwise` kernels are given for a program. */
export function programProblem(program: PointwiseProgram, inPlace?: readonly (number | undefined)[]): KernelProblem {
  const outputs = program.outputs.map((index) => program.instructions[index]!.type);
  return { inputs: program.inputs, outputs, attributes: {}, program, ...(inPlace ? { inPlace } : {}) };
}

/** Writes programs instruction by instruction; types are inferred. */
export class ProgramBuilder {
  private readonly inputs: TensorType[] = [];
  private readonly instructions: Instruction[] = [];

  input(shape: Shape, dtype: DType = "float32"): Register {
    this.inputs.push({ dtype, shape });
    return { kind: "input", index: this.inputs.length - 1 };
  }

  literal(value: number, dtype: DType = "float32"): Register {
    return { kind: "literal", value, dtype };
  }

  apply(operator: Operator, args: readonly Register[], given: Attributes = {}): Register {
    const attributes = { ...operator.attributes, ...given };
    const [type] = operator.infer(
      args.map((arg) => this.typeOf(arg)),
      attributes,
    );
    this.instructions.push({ operator, attributes, args, type: type! });
    return { kind: "result", index: this.instructions.length - 1 };
  }

  /** The program that stores `outputs`, whose shape is the domain. */
  build(...outputs: readonly Register[]): PointwiseProgram {
    const { inputs, instructions } = this;
    const stored = outputs.map((register) => {
      if (register.kind !== "result") throw new Error("only results are stored");
      return register.index;
    });
    return { domain: instructions[stored[0]!]!.type.shape, inputs, instructions, outputs: stored };
  }

  private typeOf(register: Register): TensorType {
    switch (register.kind) {
      case "input":
        return this.inputs[register.index]!;
      case "result":
        return this.instructions[register.index]!.type;
      case "literal":
        return { dtype: register.dtype, shape: [] };
    }
  }
}
