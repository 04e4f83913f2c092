import { createHash } from "node:crypto";
import { type Kysely, sql } from "kysely";
import { tableOf } from "./tables.ts";
import { roundest } from "./windows.ts";

/** Of so many documents, one is a landmark. */
const EVERY = 256;
/** Older ones only make windows larger or smaller than is good. */
const KEPT_MS = 10_000;
/** And so many times as long as it takes to read them. */
const KEPT_TIMES = 50;

/** Chosen by chance, the same way each time: so landmarks are dense where documents are. */
export function isLandmark(key: string): boolean {
  return createHash("sha256").update(key).digest().readUInt16BE() % EVERY === 0;
}

/** About where in the order of ids how many documents are. */
export interface Landmarks {
  /** Where a window of about so many documents below this begins; `undefined`: at the very beginning. */
  below(before: bigint | undefined, documents: number): bigint | undefined;
  /** Where a window may end that has everything below this; `undefined`: at the very end. */
  above(id: bigint): bigint | undefined;
}

/** Read anew when they are old, or of another table. Memory: 16 bytes for 256 documents. */
export function landmarkReader() {
  let read: { readonly number: number; readonly until: number; readonly landmarks: Landmarks } | undefined;
  return async (tx: Kysely<unknown>, number: number): Promise<Landmarks> => {
    const now = performance.now();
    if (read?.number === number && now < read.until) return read.landmarks;
    const { rows } = await sql<{ id: string }>`
      SELECT id::text FROM ${tableOf(number)} WHERE is_landmark ORDER BY id DESC`.execute(tx);
    const landmarks = landmarksOf(BigInt64Array.from(rows, ({ id }) => BigInt(id)));
    const tookMs = performance.now() - now;
    read = { number, until: now + Math.max(KEPT_MS, KEPT_TIMES * tookMs), landmarks };
    return landmarks;
  };
}

/** @param ids the newest first. */
function landmarksOf(ids: BigInt64Array): Landmarks {
  /** Of the first one that is smaller. */
  function placeBelow(id: bigint): number {
    let [low, high] = [0, ids.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ids[middle] ?? 0n) < id) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  return {
    below(before, documents) {
      const first = before === undefined ? 0 : placeBelow(before);
      const count = Math.ceil(documents / EVERY);
      for (let at = first + count; ; at++) {
        // Half as many more, where that makes the bound a round one.
        const [upTo, above] = [ids[at], ids[at + Math.ceil(count / 2)] ?? ids.at(-1)];
        if (upTo === undefined || above === undefined) return undefined;
        const bound = roundest(above, upTo);
        if (bound > above && (before === undefined || bound < before)) return bound;
      }
    },
    above(id) {
      for (let at = placeBelow(id) - 1; ; at--) {
        const landmark = ids[at];
        if (landmark === undefined) return undefined;
        const bound = roundest(id - 1n, landmark);
        if (bound >= id) return bound;
      }
    },
  };
}
