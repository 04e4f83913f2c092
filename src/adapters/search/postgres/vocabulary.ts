import { type Kysely, sql } from "kysely";
import { vocabularyOf } from "./tables.ts";
import { IN_TITLE, type Part } from "./terms.ts";

/*
 * Words and values that are, or were, in an index. GIN gathers all documents of a prefix before it gives the first one (of a
 * million documents with a third each of which begins so, 40 ms each time), and those of a few lexemes one by one: so a prefix
 * is replaced by what begins so.
 */

/** A prefix with more is left to GIN. */
const MAX_EXPANDED = 40;
/** Longer ones are known by their beginnings: most are paths and digests, which nobody types. */
const MAX_TERM_LENGTH = 40;
/** Terms that one process remembers to have added; then it begins anew. */
const MAX_REMEMBERED = 100_000;
/** Behind all characters. */
const LAST = "\u{10ffff}";

/** Adds what is new, for the one who writes. Memory: some of the terms. */
export function vocabularyWriter() {
  const remembered = new Map<number, Set<string>>();

  function knownOf(number: number): Set<string> {
    const known = remembered.get(number);
    if (known && known.size <= MAX_REMEMBERED) return known;
    const none = new Set<string>();
    remembered.set(number, none);
    return none;
  }

  return {
    async add(tx: Kysely<unknown>, number: number, terms: Iterable<string>): Promise<void> {
      const known = knownOf(number);
      const added: string[] = [];
      for (const term of terms) {
        const kept = term.length > MAX_TERM_LENGTH ? term.slice(0, MAX_TERM_LENGTH).toWellFormed() : term;
        if (known.has(kept)) continue;
        known.add(kept);
        added.push(kept);
      }
      if (added.length === 0) return;
      await sql`INSERT INTO ${vocabularyOf(number)} SELECT unnest(${added}::text[]) ON CONFLICT DO NOTHING`.execute(tx);
    },

    /** When a transaction failed, and with it perhaps what it added. */
    forget: () => remembered.clear(),
  };
}

/** Of what is asked for, the prefixes that few begin with as what begins so. */
export function expander(tx: Kysely<unknown>, number: number): (part: Part) => Promise<Part> {
  const looked = new Map<string, readonly string[] | undefined>();

  async function look(begin: string): Promise<readonly string[] | undefined> {
    if (begin === "" || begin.length > MAX_TERM_LENGTH) return undefined;
    const { rows } = await sql<{ term: string }>`
      SELECT term FROM ${vocabularyOf(number)} WHERE term >= ${begin} AND term < ${begin + LAST}
       ORDER BY term LIMIT ${MAX_EXPANDED + 1}`.execute(tx);
    return rows.length > MAX_EXPANDED ? undefined : rows.map(({ term }) => term);
  }

  async function each(parts: readonly Part[]): Promise<readonly Part[]> {
    const done: Part[] = [];
    for (const part of parts) done.push(await expanded(part));
    return done;
  }

  async function expanded(part: Part): Promise<Part> {
    if ("all" in part) return { all: await each(part.all) };
    if ("any" in part) return { any: await each(part.any) };
    if ("not" in part) return { not: await expanded(part.not) };
    if ("phrase" in part || !part.isPrefix) return part;
    const kind = part.lexeme.startsWith(IN_TITLE) ? IN_TITLE : "";
    const begin = part.lexeme.slice(kind.length);
    if (!looked.has(begin)) looked.set(begin, await look(begin));
    const terms = looked.get(begin);
    if (!terms) return part;
    return { any: terms.map((term) => ({ lexeme: kind + term, isPrefix: term.length >= MAX_TERM_LENGTH })) };
  }

  return expanded;
}
