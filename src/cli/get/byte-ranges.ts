/** First byte, and the first one after the last. */
export interface ByteRange {
  readonly from: number;
  readonly until: number;
}

/** Which bytes of a file there are. Memory: one pair of numbers per gap. */
export interface ByteRanges {
  /** How many bytes. */
  readonly bytes: number;
  /** The first byte that is not there, counted from the file's beginning. */
  readonly prefixEnd: number;
  add(from: number, until: number): void;
  remove(from: number, until: number): void;
  /** The first bytes below `end` that are not there, at most `most` of them. */
  firstGap(end: number, most: number): ByteRange | undefined;
  /** In order, no two of them touching. */
  list(): readonly ByteRange[];
}

export function byteRanges(initial: readonly ByteRange[] = []): ByteRanges {
  let ranges: readonly ByteRange[] = [];

  function add(from: number, until: number): void {
    if (from >= until) return;
    const before = ranges.filter((range) => range.until < from);
    const after = ranges.filter((range) => range.from > until);
    const touched = ranges.slice(before.length, ranges.length - after.length);
    const merged = {
      from: Math.min(from, touched[0]?.from ?? from),
      until: Math.max(until, touched.at(-1)?.until ?? until),
    };
    ranges = [...before, merged, ...after];
  }

  const prefixEnd = () => (ranges[0]?.from === 0 ? ranges[0].until : 0);

  for (const { from, until } of initial) add(from, until);
  return {
    get bytes() {
      return ranges.reduce((sum, { from, until }) => sum + until - from, 0);
    },
    get prefixEnd() {
      return prefixEnd();
    },
    add,
    remove(from, until) {
      if (from >= until) return;
      ranges = ranges.flatMap((range) =>
        [
          { from: range.from, until: Math.min(range.until, from) },
          { from: Math.max(range.from, until), until: range.until },
        ].filter((rest) => rest.from < rest.until),
      );
    },
    firstGap(end, most) {
      const from = prefixEnd();
      const next = ranges.find((range) => range.from > from)?.from ?? end;
      const until = Math.min(next, end, from + most);
      return from < until ? { from, until } : undefined;
    },
    list: () => ranges,
  };
}
