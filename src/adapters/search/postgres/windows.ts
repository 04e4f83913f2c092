/*
 * GIN finds documents in the order of nothing, and all of them at once. So that a search costs what it shows, it looks through
 * the newest few thousand documents first, and through older ones only for what is missing yet: windows of time.
 *
 * A document's id says when it was created. Its 16 hexadecimal digits are filed like those of a number (`number-terms.ts`):
 * under each of their beginnings, so that a window is the few beginnings that lie in it.
 */

/** Documents of one millisecond have so many ids before they take those of the next. */
const IDS_PER_MS = 2n ** 22n;
/** 2^63 ids are 69 years: on either side of this. */
const MIDDLE_MS = Date.UTC(2020, 0);
const HALF = 2n ** 63n;
const DIGITS = 16;
/** Digits that are not filed: the 4,096 ids that differ in them alone are in one window. */
const DIGITS_LEFT = 3;
const COARSE = 4n * BigInt(DIGITS_LEFT);

/** Lexemes of windows begin so. */
const NODE = "\ue00a";

/** Where the ids of documents of this time begin. */
export function idsOf(createdAt: number): bigint {
  const id = BigInt(Math.trunc(createdAt) - MIDDLE_MS) * IDS_PER_MS;
  return id < -HALF ? -HALF : id > HALF - IDS_PER_MS ? HALF - IDS_PER_MS : id;
}

/** Of all `IDS_PER_MS`, for a number that a document bears already. */
export function placeAmong(number: bigint): bigint {
  return number % IDS_PER_MS;
}

export function nodesOf(id: bigint): readonly string[] {
  const digits = digitsOf(id);
  return Array.from({ length: DIGITS - DIGITS_LEFT }, (_, i) => NODE + digits.slice(0, i + 1));
}

/** From `from` to before `before`; without one, as far as there is anything. */
export interface Window {
  readonly from: bigint | undefined;
  readonly before: bigint | undefined;
}

/** What the documents of a window are filed under; bounds are what {@link roundest} makes. `undefined`: all. */
export function nodesIn({ from, before }: Window): readonly string[] | undefined {
  if (from === undefined && before === undefined) return undefined;
  const found: string[] = [];
  const low = from === undefined ? "".padEnd(DIGITS, "0") : digitsOf(from);
  const high = before === undefined ? "g" : digitsOf(before); // behind every digit
  cover("", low, high, found);
  return found;
}

function cover(node: string, low: string, high: string, found: string[]): void {
  const last = node.padEnd(DIGITS, "f");
  const first = node.padEnd(DIGITS, "0");
  if (last < low || first >= high) return;
  if (node !== "" && first >= low && last < high) found.push(NODE + node);
  else for (const digit of "0123456789abcdef") cover(node + digit, low, high, found);
}

/** The bound with the fewest digits above `above` and up to `upTo`, so that few nodes end there; at least one that may be. */
export function roundest(above: bigint, upTo: bigint): bigint {
  for (let bits = 60n; bits > COARSE; bits -= 4n) {
    const bound = ((upTo + HALF) >> bits) << bits;
    if (bound > above + HALF) return bound - HALF;
  }
  return (((upTo + HALF) >> COARSE) << COARSE) - HALF;
}

/** Sorts as text as ids do. */
function digitsOf(id: bigint): string {
  return (id + HALF).toString(16).padStart(DIGITS, "0");
}
