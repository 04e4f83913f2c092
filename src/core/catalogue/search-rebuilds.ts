import type { Rebuild } from "./indexing.ts";

/**
 * The last time that the index was to be made anew, in the database: one process asks for it, perhaps another one does it, and
 * all of them can tell how far it is.
 *
 * Adapter: `adapters/db/search-rebuilds.ts`. Contract: `test/conformance/search-rebuilds.ts`.
 */
export interface SearchRebuilds {
  last(): Promise<Rebuild | null>;
  /** Asks for one, unless one is under way. Times are epoch milliseconds. */
  ask(at: number): Promise<void>;
  /** What the last one has come to. */
  note(rebuild: Rebuild): Promise<void>;
}
