// Arithmetic for gradient rules and compositions, written like formulas: numbers become scalars of the tensors' type.

import { add, div, greater, less, mul, sub } from "./binary.ts";
import { max, min } from "./extrema.ts";
import type { Builder, Operand, Operator } from "./operator.ts";
import type { NoAttributes } from "./pointwise.ts";
import { scalar } from "./scalar.ts";
import { where } from "./where.ts";

type Term = Operand | number;
type Binary = (a: Term, b: Term) => Operand;

/** What {@link formulas} returns; every function broadcasts. */
export interface Formulas {
  readonly add: Binary;
  readonly sub: Binary;
  readonly mul: Binary;
  readonly div: Binary;
  readonly max: Binary;
  readonly min: Binary;
  readonly greater: Binary;
  readonly less: Binary;
  /** `yes` where the condition holds, else `no`. */
  readonly where: (condition: Operand, yes: Term, no: Term) => Operand;
}

/** Functions that append arithmetic; numbers take the element type of `like`. */
export function formulas(build: Builder, like: Operand): Formulas {
  const operand = (term: Term): Operand => (typeof term === "number" ? scalar(build, term, like) : term);
  const binary =
    (operator: Operator<NoAttributes>): Binary =>
    (a, b) =>
      build.apply(operator, [operand(a), operand(b)]);
  return {
    add: binary(add),
    sub: binary(sub),
    mul: binary(mul),
    div: binary(div),
    max: binary(max),
    min: binary(min),
    greater: binary(greater),
    less: binary(less),
    where: (condition, yes, no) => build.apply(where, [condition, operand(yes), operand(no)]),
  };
}
