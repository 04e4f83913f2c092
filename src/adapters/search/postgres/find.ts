import { type Kysely, type RawBuilder, sql } from "kysely";
import { highlighted, textTerms } from "../../../core/catalogue/highlight.ts";
import type { SearchDocument, SearchHit, SearchPage, SearchRequest } from "../../../core/catalogue/search-index.ts";
import { AppError } from "../../../core/errors.ts";
import { foldedValue } from "../fts-terms.ts";
import type { Landmarks } from "./landmarks.ts";
import { tableOf } from "./tables.ts";
import { anyLexeme, beginning, type Condition, conditionOf, type Part, partOf, storable, tiers } from "./terms.ts";
import { expander } from "./vocabulary.ts";
import { nodesIn, type Window } from "./windows.ts";

/*
 * Searches in one table, in a transaction that sees one moment.
 */

/** Hits beyond are not counted. */
const COUNTED = 2000;
const FACET_VALUES = 20;
/** Longer values are found, but not counted: they say something about one document. */
const MAX_FACET_LENGTH = 100;

/** Documents that are looked through first; so many times more next, where nothing was found. */
const FIRST_WINDOW = 4096;
const WINDOW_GROWTH = 8;

/** How often a value occurs. */
type Facet = readonly { readonly value: string; readonly count: number }[];

interface Found {
  /** From the newest. */
  readonly ids: readonly bigint[];
  /** Whether there are no more. */
  readonly isAll: boolean;
  readonly facets: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

/**
 * What PostgreSQL has to know for one transaction: that the index of lexemes is the way (the planner would guess, without
 * knowing how common a lexeme is); that a list of hits fits into memory; and that nothing is worth compiling.
 */
const SETTINGS: RawBuilder<unknown> = sql`
  SELECT set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'off', true),
         set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true),
         set_config('work_mem', '64MB', true)`;

export function finder(tx: Kysely<unknown>, number: number, landmarks: Landmarks) {
  const table = tableOf(number);

  /** The newest that fit, at most `limit`. */
  async function newest(part: Part, limit: number, before?: bigint, fields: readonly string[] = []): Promise<Found> {
    const condition = conditionOf(part);
    const ids: bigint[] = [];
    const facets = new Map(fields.map((field) => [field, new Map<string, number>()]));
    let upTo = before === undefined ? undefined : landmarks.above(before);
    let size = FIRST_WINDOW;
    for (let searched = 0; ; ) {
      const from = landmarks.below(upTo, size);
      const window = { from, before: upTo };
      const found = await newestIn(window, condition, limit - ids.length, before, [...facets.keys()]);
      ids.push(...found.ids);
      for (const [field, counts] of found.facets) add(facets.get(field), counts);
      if (ids.length === limit || from === undefined) return { ids, isAll: ids.length < limit, facets };
      searched += size;
      const expected = ((limit - ids.length) * searched * 1.2) / Math.max(1, ids.length);
      size = Math.min(Math.max(expected, FIRST_WINDOW), size * WINDOW_GROWTH);
      upTo = from;
    }
  }

  async function newestIn(
    window: Window,
    { tsqueries, exactly }: Condition,
    limit: number,
    before: bigint | undefined,
    fields: readonly string[],
  ) {
    const nodes = nodesIn(window);
    const asked = [...tsqueries, ...(nodes ? [anyLexeme(nodes)] : [])];
    const conditions = [
      ...asked.map((one) => sql`terms @@ ${one}::tsquery`),
      // The sum hides the primary key.
      ...(before === undefined ? [] : [sql`id + 0 < ${String(before)}::bigint`]),
      ...(exactly ? [exactly] : []),
    ];
    const values = fields.map(
      (field, i) => sql`, coalesce(facets, fields) -> ${storable(foldedValue(field))} AS ${sql.id(`values_${i}`)}`,
    );
    const counts = fields.map(
      (_, i) => sql`, (SELECT jsonb_agg(jsonb_build_array(value, count)) FROM
         (SELECT value, count(*) AS count FROM hits, jsonb_array_elements(${sql.id(`values_${i}`)}) AS value GROUP BY value)
         AS counts) AS ${sql.id(`counts_${i}`)}`,
    );
    const { rows } = await sql<{ ids: string | null } & Record<string, readonly [unknown, number][] | null>>`
      WITH hits AS MATERIALIZED (
        SELECT id ${sql.join(values, sql``)} FROM ${table}
         ${conditions.length === 0 ? sql`` : sql`WHERE ${sql.join(conditions, sql` AND `)}`}
         ORDER BY id DESC LIMIT ${limit})
      SELECT (SELECT string_agg(id::text, ',' ORDER BY id DESC) FROM hits) AS ids ${sql.join(counts, sql``)}
    `.execute(tx);
    const ids = rows[0]?.ids?.split(",").map(BigInt) ?? [];
    const facets = fields.map((field, i) => [field, countsOf(rows[0]?.[`counts_${i}`] ?? [])] as const);
    return { ids, facets };
  }

  /** Those of few hits that are in this group. */
  async function group(part: Part, limit: number, before: bigint | undefined): Promise<readonly bigint[]> {
    const everywhere = { from: undefined, before: undefined };
    return (await newestIn(everywhere, conditionOf(part), limit, before, [])).ids;
  }

  async function documents(ids: readonly bigint[]): Promise<ReadonlyMap<string, StoredDocument>> {
    if (ids.length === 0) return new Map();
    const { rows } = await sql<StoredDocument>`
      SELECT id::text, key, type, title, text, fields, created_at AS "createdAt" FROM ${table}
       WHERE id = ANY(${ids.map(String)}::bigint[])`.execute(tx);
    return new Map(rows.map((row) => [row.id, row]));
  }

  return {
    async search(request: SearchRequest): Promise<SearchPage> {
      const terms = textTerms(request.query);
      const asked = partOf(request);
      const wantedGroups = request.order === "relevance" ? tiers(asked, terms) : [asked];
      const expanded = expander(tx, number);
      const part = await expanded(asked);
      const groups: Part[] = [];
      for (const one of wantedGroups) groups.push(await expanded(one));
      await SETTINGS.execute(tx);
      let { tier, before } = readCursor(request.cursor, request.order, groups.length);
      const counted = await newest(part, COUNTED, undefined, [...new Set(request.facets ?? [])]);
      const found: { readonly tier: number; readonly id: bigint }[] = [];
      // One more than asked for tells whether there is a next page.
      for (let wanted = request.limit + 1; counted.ids.length > 0 && tier < groups.length && wanted > 0; ) {
        const ids = await idsIn(groups, tier, before, wanted, counted);
        for (const id of ids) found.push({ tier, id });
        wanted -= ids.length;
        if (wanted === 0) break;
        tier += 1;
        before = undefined;
      }
      const page = found.slice(0, request.limit);
      const stored = await documents(page.map(({ id }) => id));
      const last = page.at(-1);
      return {
        hits: page.flatMap(({ id }) => hitOf(stored.get(String(id)), terms) ?? []),
        next: last && found.length > request.limit ? `${request.order}.${last.tier}.${last.id}` : null,
        total: counted.ids.length,
        isLowerBound: !counted.isAll,
        facets: Object.fromEntries(
          (request.facets ?? []).map((field) => [field, mostFrequent(counted.facets.get(field) ?? new Map())]),
        ),
      };
    },

    /** Of the newest documents that have such values, and of all where these are few; in the alphabet's order. */
    async suggest(field: string, prefix: string, owner: string | undefined, limit: number): Promise<readonly string[]> {
      const wanted = await expander(tx, number)(beginning(field, prefix));
      await SETTINGS.execute(tx);
      const owned = partOf({ ...(owner !== undefined && { owner }) });
      const byFolded = new Map<string, string>();
      async function look(part: Part, documents: number): Promise<boolean> {
        const { facets, isAll } = await newest({ all: [part, owned] }, documents, undefined, [field]);
        for (const { value } of sorted(facets.get(field) ?? new Map())) {
          const folded = foldedValue(value);
          if (folded.startsWith(foldedValue(prefix)) && !byFolded.has(folded)) byFolded.set(folded, value);
        }
        return isAll;
      }

      const isAll = await look(wanted, COUNTED);
      if (!isAll && "any" in wanted && byFolded.size < wanted.any.length)
        for (const one of wanted.any) await look(one, 1);
      return [...byFolded]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, limit)
        .map(([, value]) => value);
    },
  };

  /** Of one group, without looking again for what counting has found. */
  async function idsIn(
    groups: readonly Part[],
    tier: number,
    before: bigint | undefined,
    limit: number,
    counted: Found,
  ): Promise<readonly bigint[]> {
    const part = groups[tier];
    if (!part) return [];
    if (groups.length > 1) return counted.isAll ? group(part, limit, before) : (await newest(part, limit, before)).ids;
    const ids = counted.ids.filter((id) => before === undefined || id < before).slice(0, limit);
    return ids.length === limit || counted.isAll ? ids : (await newest(part, limit, before)).ids;
  }
}

interface StoredDocument {
  readonly id: string;
  readonly key: string;
  readonly type: SearchDocument["type"];
  readonly title: string;
  readonly text: string;
  readonly fields: SearchDocument["fields"];
  readonly createdAt: number;
}

function hitOf(stored: StoredDocument | undefined, terms: ReturnType<typeof textTerms>): SearchHit | undefined {
  if (!stored) return undefined;
  const { key, type, title, text, fields, createdAt } = stored;
  return { key, type, title, highlight: highlighted(text, terms) ?? highlighted(title, terms), fields, createdAt };
}

/** Numbers are shown, and counted, as the text they are in JavaScript. */
function countsOf(pairs: readonly (readonly [unknown, number])[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const [value, count] of pairs) add(counts, new Map([[String(value), count]]));
  return counts;
}

function add(to: Map<string, number> | undefined, counts: ReadonlyMap<string, number>): void {
  for (const [value, count] of counts)
    if (value.length <= MAX_FACET_LENGTH) to?.set(value, (to.get(value) ?? 0) + count);
}

function mostFrequent(counts: ReadonlyMap<string, number>): Facet {
  return sorted(counts).slice(0, FACET_VALUES);
}

function sorted(counts: ReadonlyMap<string, number>): Facet {
  return Array.from(counts, ([value, count]) => ({ value, count })).sort(
    (a, b) => b.count - a.count || (a.value < b.value ? -1 : 1),
  );
}

function readCursor(cursor: string | undefined, order: string, tierCount: number) {
  if (cursor === undefined) return { tier: 0, before: undefined };
  const [, of, tier, before] = /^(relevance|newest)\.(\d)\.(-?\d{1,19})$/.exec(cursor) ?? [];
  const isOurs = of === order && Number(tier) < tierCount && before !== undefined;
  if (isOurs && BigInt.asIntN(64, BigInt(before)) === BigInt(before))
    return { tier: Number(tier), before: BigInt(before) };
  throw new AppError("request_invalid", { parameter: "cursor", expected: "one of this query's pages", found: cursor });
}
