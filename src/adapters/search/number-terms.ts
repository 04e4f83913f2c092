/*
 * Numbers as terms, so that a range is found like words are, in order and as far as it is asked for, whatever else is asked
 * for beside it.
 *
 * A number's 64 bits, turned so that they sort as the number does, are 16 hexadecimal digits. It is filed under each
 * beginning of them up to the last digit that is not 0 (`node`: 1000 is c08f4, under five), and under all of them (`exact`).
 * A range is the few beginnings that lie in it as a whole: its bounds are seldom long, so they are seldom many.
 */

export interface NumberTerm {
  readonly kind: "node" | "exact";
  readonly digits: string;
}

export interface NumberRange {
  readonly from?: number;
  readonly until?: number;
  readonly fromIn: boolean;
  readonly untilIn: boolean;
}

const DIGITS = 16;
const view = new DataView(new ArrayBuffer(8));

/** Sorts as text as the numbers do. */
function sortable(number: number): string {
  view.setFloat64(0, number === 0 ? 0 : number);
  const bits = view.getBigUint64(0);
  const isNegative = bits >> 63n === 1n;
  return (isNegative ? bits ^ 0xffff_ffff_ffff_ffffn : bits | (1n << 63n)).toString(16).padStart(DIGITS, "0");
}

function trimmed(digits: string): string {
  return digits.replace(/0+$/, "");
}

/** What a number is filed under. */
export function termsOfNumber(number: number): readonly NumberTerm[] {
  const digits = trimmed(sortable(number));
  const nodes = Array.from(digits, (_, i) => ({ kind: "node", digits: digits.slice(0, i + 1) }) as const);
  return [...nodes, { kind: "exact", digits }];
}

/** A number is in the range exactly if it is filed under one of `any` and not under one of `none`. */
export function termsOfRange({ from, until, fromIn, untilIn }: NumberRange): {
  readonly any: readonly NumberTerm[];
  readonly none: readonly NumberTerm[];
} {
  const low = from === undefined ? "".padEnd(DIGITS, "0") : sortable(from);
  const high = until === undefined ? "".padEnd(DIGITS, "g") : sortable(until); // behind every digit
  const any: NumberTerm[] = [];
  // Half open, a bound with few digits needs few nodes; single numbers are added and taken away.
  cover("", low, high, any);
  if (until !== undefined && untilIn && low <= high) any.push({ kind: "exact", digits: trimmed(high) });
  const none: NumberTerm[] = from === undefined || fromIn ? [] : [{ kind: "exact", digits: trimmed(low) }];
  return { any, none };
}

/** The largest nodes below `node` that lie in [low, high). */
function cover(node: string, low: string, high: string, found: NumberTerm[]): void {
  const last = node.padEnd(DIGITS, "f");
  if (last < low || node.padEnd(DIGITS, "0") >= high) return;
  if (node === "" || node.padEnd(DIGITS, "0") < low || last >= high) {
    for (const digit of "0123456789abcdef") cover(node + digit, low, high, found);
    return;
  }
  found.push({ kind: "node", digits: node });
  // Numbers of nothing but zeros from here on are not filed so deep.
  if (node.endsWith("0")) found.push({ kind: "exact", digits: trimmed(node) });
}
