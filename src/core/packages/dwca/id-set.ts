import type { Details } from "../../errors.ts";

/** Most ranges that `state` gives out: beyond, what has been seen is too much to keep. */
const MAX_STATE_RANGES = 1_000;

/** Knows every id that has been seen. */
export interface IdSet {
  /** @returns false when it has been seen before. */
  add(id: string): boolean;
  /** `null`: too much to keep. */
  state(): Details | null;
}

/**
 * Portals number their records, mostly in order: whole numbers are kept as ranges, which is next to nothing for a million
 * records in order. Other ids are kept as they are, about 100 bytes each.
 */
export function idSet(from?: Details): IdSet {
  /** Sorted, apart from each other: [first, last]. */
  const ranges: [number, number][] = ((from?.ranges ?? []) as [number, number][]).map(([first, last]) => [first, last]);
  const others = new Set<string>();

  /** Index of the first range that ends at `value` or later. */
  function at(value: number): number {
    let [low, high] = [0, ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ranges[middle]?.[1] ?? 0) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function addNumber(value: number): boolean {
    const last = ranges.at(-1);
    if (last && value === last[1] + 1) {
      last[1] = value;
      return true;
    }
    const index = at(value);
    const after = ranges[index];
    if (after && after[0] <= value) return false;
    const before = ranges[index - 1];
    const joinsBefore = before !== undefined && before[1] + 1 === value;
    const joinsAfter = after !== undefined && value + 1 === after[0];
    if (joinsBefore && joinsAfter) ranges.splice(index - 1, 2, [before[0], after[1]]);
    else if (joinsBefore) before[1] = value;
    else if (joinsAfter) after[0] = value;
    else ranges.splice(index, 0, [value, value]);
    return true;
  }

  return {
    add(id) {
      const number = Number(id);
      // Only what is spelled as JavaScript would: "007" and "7" are two ids.
      if (Number.isSafeInteger(number) && String(number) === id) return addNumber(number);
      if (others.has(id)) return false;
      others.add(id);
      return true;
    },
    state: () =>
      others.size > 0 || ranges.length > MAX_STATE_RANGES ? null : { ranges: ranges.map((range) => [...range]) },
  };
}
