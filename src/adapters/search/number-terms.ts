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

/** A number is in the range exactly if it is filed under one of these. */
export function termsOfRange({ from, until, fromIn, untilIn }: NumberRange): readonly NumberTerm[] {
  const low = from === undefined ? "".padEnd(DIGITS, "0") : sortable(from);
  const high = until === undefined ? "".padEnd(DIGITS, "g") : sortable(until); // behind every digit
  const found: NumberTerm[] = [];
  // Half open, a bound with few digits needs few nodes; a last number is added, and a first one left out.
  cover("", low, high, from === undefined || fromIn, found);
  if (until !== undefined && untilIn && (low < high || (low === high && fromIn)))
    found.push({ kind: "exact", digits: trimmed(high) });
  return found;
}

/** The largest nodes below `node` that lie in [low, high); without `low` itself, unless `lowIn`. */
function cover(node: string, low: string, high: string, lowIn: boolean, found: NumberTerm[]): void {
  const first = node.padEnd(DIGITS, "0");
  const last = node.padEnd(DIGITS, "f");
  if (last < low || first >= high) return;
  const hasLow = !lowIn && first === low;
  // Of the nodes that begin with `low`, the longer ones are without it: it is not filed so deep.
  if (node === "" || first < low || last >= high || (hasLow && node === trimmed(low))) {
    if (node.length < DIGITS) for (const digit of "0123456789abcdef") cover(node + digit, low, high, lowIn, found);
    return;
  }
  found.push({ kind: "node", digits: node });
  // Numbers of nothing but zeros from here on are not filed so deep.
  if (node.endsWith("0") && !hasLow) found.push({ kind: "exact", digits: trimmed(node) });
}
