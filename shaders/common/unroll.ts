// Text repeated for constant indices. Register tiles are written out in full: some drivers keep an indexed array in memory.

/** `line(0)` … `line(count - 1)`, one below the other. */
export function unroll(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}

/** `term(0) + … + term(count - 1)`. */
export function unrolledSum(count: number, term: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => term(i)).join(" + ");
}

/** `item(0), …, item(count - 1)`. */
export function unrolledList(count: number, item: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => item(i)).join(", ");
}
