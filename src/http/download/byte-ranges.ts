import type { IncomingHttpHeaders } from "node:http";
import { ifRangeHolds, type Validators } from "./conditional.ts";

/** First and last byte, both included. */
export interface SatisfiableRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Parts that one answer has at most; each costs a search for its beginning. More of them are no reader's need
 * (RFC 9110 §17.15), and the whole is the answer.
 */
const MAX_RANGES = 100;

/**
 * The ranges that a GET asks for (RFC 9110 §14.2), at least one, in the order they were asked for; those that touch or
 * overlap are one, so that no byte is sent twice. `undefined` when the whole is the answer: no range, a malformed one,
 * too many, or one that `If-Range` makes void.
 */
export function requestedRanges(
  headers: IncomingHttpHeaders,
  sizeBytes: number,
  validators: Validators,
): readonly SatisfiableRange[] | "unsatisfiable" | undefined {
  const specs = rangeSpecs(headers.range);
  if (specs === undefined || !ifRangeHolds(headers["if-range"], validators)) return undefined;
  const satisfiable = specs.map((spec) => resolve(spec, sizeBytes)).filter((range) => range !== undefined);
  if (satisfiable.length === 0) return "unsatisfiable";
  const merged = merge(satisfiable);
  return merged.length > MAX_RANGES ? undefined : merged;
}

/** As it was written: `first` empty for the last bytes, `last` empty for everything from `first` on. */
interface RangeSpec {
  readonly first: string;
  readonly last: string;
}

/** @returns `undefined` when one of them is malformed: the whole field is ignored then (§14.1.1, §14.2). */
function rangeSpecs(field: string | undefined): readonly RangeSpec[] | undefined {
  const set = /^bytes=(.*)$/i.exec(field ?? "")?.[1];
  if (set === undefined) return undefined;
  const specs: RangeSpec[] = [];
  for (const text of set.split(",")) {
    const [, first = "", last = ""] = /^[ \t]*(\d*)-(\d*)[ \t]*$/.exec(text) ?? [];
    if (first !== "" || last !== "") specs.push({ first, last });
    // Elements of a list may be empty (§5.6.1).
    else if (text.trim() !== "") return undefined;
    if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined;
  }
  return specs.length === 0 ? undefined : specs;
}

/** @returns `undefined` for a range that no byte lies in. */
function resolve({ first, last }: RangeSpec, sizeBytes: number): SatisfiableRange | undefined {
  const start = first === "" ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const end = first === "" || last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  return start <= end ? { start, end } : undefined;
}

/** Joins what touches or overlaps; a joined range takes the place of the first of those it is made of (§15.3.7.2). */
function merge(ranges: readonly SatisfiableRange[]): readonly SatisfiableRange[] {
  const merged: { start: number; end: number; place: number }[] = [];
  const ordered = ranges.map((range, place) => ({ ...range, place })).sort((a, b) => a.start - b.start);
  for (const range of ordered) {
    const last = merged.at(-1);
    if (last && range.start <= last.end + 1) {
      last.end = Math.max(last.end, range.end);
      last.place = Math.min(last.place, range.place);
    } else merged.push(range);
  }
  return merged.sort((a, b) => a.place - b.place).map(({ start, end }) => ({ start, end }));
}
