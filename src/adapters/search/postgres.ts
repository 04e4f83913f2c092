import { createHash } from "node:crypto";
import { Kysely, sql, type Transaction } from "kysely";
import type { SearchDocument, SearchIndex } from "../../core/catalogue/search-index.ts";
import { AppError } from "../../core/errors.ts";
import { postgresDialect } from "../db/postgres.ts";
import { foldedValue } from "./fts-terms.ts";
import { finder } from "./postgres/find.ts";
import { isLandmark, landmarkReader } from "./postgres/landmarks.ts";
import {
  beginTable,
  CHANGED,
  changeState,
  createIndex,
  dropLeftovers,
  isAbsence,
  nameOf,
  prepare,
  type State,
  stateOf,
  tableOf,
} from "./postgres/tables.ts";
import { filed, LEXEME_SEPARATOR, storable, wordsColumn } from "./postgres/terms.ts";
import { vocabularyWriter } from "./postgres/vocabulary.ts";
import { idsOf, nodesOf, placeAmong } from "./postgres/windows.ts";

/** Searches that are under way at a time; others wait for one of these connections. */
const POOL_SIZE = 4;
/** After so many, a document's id is looked for elsewhere. */
const MAX_NEIGHBOURS = 8;

export interface PostgresSearchOptions {
  readonly url: string;
  /** Told of connections that break while nobody uses them; without, Node's own warnings tell. */
  onTrouble?(error: unknown): void;
}

/**
 * The search index in PostgreSQL: shared by all processes, any of which may search, put and make it anew; what is written is
 * written by one after the other. It is made with the first call, in a schema of its own (`postgres/tables.ts`).
 *
 * Whatever fits is found by one GIN index of lexemes (`postgres/terms.ts`), through the newest documents first
 * (`postgres/windows.ts`). An index that is being made gets its GIN index at the end, which takes a fraction of the time.
 */
export function postgresIndex({
  url,
  onTrouble = warn,
}: PostgresSearchOptions): SearchIndex & { close(): Promise<void> } {
  let opened: Promise<Kysely<unknown>> | undefined;
  let isClosed = false;
  let prepared: Promise<void> | undefined;
  const landmarksOf = landmarkReader();
  const vocabulary = vocabularyWriter();

  async function database(): Promise<Kysely<unknown>> {
    if (isClosed) throw new AppError("search_unavailable", { reason: "it is closed" });
    opened ??= postgresDialect({ url, onTrouble, poolSize: POOL_SIZE }).then((dialect) => new Kysely({ dialect }));
    return opened;
  }

  /** Once more when a table was replaced, or the schema dropped, in between. */
  async function using<T>(work: (db: Kysely<unknown>) => Promise<T>): Promise<T> {
    for (let isLast = false; ; isLast = true) {
      try {
        const db = await database();
        prepared ??= prepare(db);
        await prepared;
        return await work(db);
      } catch (error) {
        // Made sure of anew: the database may be another one by then.
        prepared = undefined;
        if (isAbsence(error) && !isLast) continue;
        throw isAway(error) ? new AppError("search_unavailable", error.details, { cause: error }) : error;
      }
    }
  }

  function writing<T>(work: (tx: Transaction<unknown>, state: State) => Promise<T>): Promise<T> {
    return using(async (db) => {
      try {
        return await db.transaction().execute(async (tx) => work(tx, await stateOf(tx, true)));
      } catch (error) {
        vocabulary.forget();
        throw error;
      }
    });
  }

  function reading<T>(work: (find: ReturnType<typeof finder>) => Promise<T>): Promise<T> {
    return using((db) =>
      db
        .transaction()
        .setIsolationLevel("repeatable read")
        .setAccessMode("read only")
        .execute(async (tx) => {
          const { current } = await stateOf(tx);
          const landmarks = await landmarksOf(tx, current);
          return work(finder(tx, current, landmarks));
        }),
    );
  }

  async function add(tx: Transaction<unknown>, number: number, documents: readonly SearchDocument[]): Promise<void> {
    if (documents.length === 0) return;
    const terms = await insert(tx, number, documents);
    await vocabulary.add(tx, number, terms);
  }

  /** In the index in use, and in the one that is being made. */
  async function change(keys: readonly string[], documents: readonly SearchDocument[]): Promise<void> {
    await writing(async (tx, { current, building, documents: before }) => {
      const removed = await remove(tx, current, keys);
      await add(tx, current, documents);
      await changeState(tx, { documents: before - removed + documents.length });
      if (building === null) return;
      await remove(tx, building, keys);
      await add(tx, building, documents);
      await sql`INSERT INTO ${CHANGED} SELECT unnest(${keys}::text[]) ON CONFLICT DO NOTHING`.execute(tx);
    });
  }

  return {
    async put(documents) {
      const wanted = byKey(documents);
      if (wanted.size > 0) await change([...wanted.keys()], [...wanted.values()]);
    },
    async remove(keys) {
      const wanted = [...new Set(keys.map(storable))];
      if (wanted.length > 0) await change(wanted, []);
    },
    search: (request) => reading((find) => find.search(request)),
    suggest: (field, prefix, owner, limit) => reading((find) => find.suggest(field, prefix, owner, limit)),
    isFilled: () => using(async (db) => (await stateOf(db)).isFilled),
    declareFilled: () => writing((tx) => changeState(tx, { isFilled: true })),

    counts: () =>
      using(async (db) => {
        const { current, documents } = await stateOf(db);
        const { rows } = await sql<{ size: number }>`
          SELECT pg_total_relation_size(${nameOf(current)}::regclass) AS size`.execute(db);
        return { documents, sizeBytes: rows[0]?.size ?? 0 };
      }),

    async rebuild() {
      const number = await writing((tx, state) => beginTable(tx, state));
      await using(dropLeftovers);

      const ours = <T>(work: (tx: Transaction<unknown>) => Promise<T>) =>
        writing(async (tx, { building }) => {
          if (building === number) return work(tx);
          throw new AppError("job_cancelled", { reason: "The index is finished, abandoned, or made anew by another." });
        });

      return {
        async put(documents) {
          const brought = byKey(documents);
          await ours(async (tx) => {
            // What a crash of the machine takes is made anew with the rest.
            await sql`SET LOCAL synchronous_commit = off`.execute(tx);
            const keys = [...brought.keys()];
            const { rows } = await sql<{ key: string }>`
              SELECT key FROM ${CHANGED} WHERE key = ANY(${keys}::text[])`.execute(tx);
            for (const { key } of rows) brought.delete(key);
            await remove(tx, number, [...brought.keys()]);
            await add(tx, number, [...brought.values()]);
          });
        },

        async finish() {
          await ours(async () => {});
          await using((db) => index(db, number));
          await ours(async (tx) => {
            const { rows } = await sql<{ count: number }>`SELECT count(*) AS count FROM ${tableOf(number)}`.execute(tx);
            await changeState(tx, { current: number, building: null, isFilled: true, documents: rows[0]?.count ?? 0 });
            await sql`TRUNCATE ${CHANGED}`.execute(tx);
          });
          await using(dropLeftovers);
        },

        async abandon() {
          await writing(async (tx, { building }) => {
            if (building === number) await changeState(tx, { building: null });
          });
          await using(dropLeftovers);
        },
      };
    },

    async close() {
      isClosed = true;
      await (await opened?.catch(() => undefined))?.destroy();
    },
  };
}

/** While changes go on. @throws AppError job_cancelled when another has the table dropped meanwhile. */
async function index(db: Kysely<unknown>, number: number): Promise<void> {
  await db.connection().execute(async (connection) => {
    try {
      await sql`SET maintenance_work_mem = '256MB'`.execute(connection);
      await createIndex(connection, number, sql`CONCURRENTLY`);
      await sql`ANALYZE ${tableOf(number)}`.execute(connection);
    } catch (error) {
      if (!isAbsence(error)) throw error;
      throw new AppError("job_cancelled", { reason: "The index is made anew by another." }, { cause: error });
    } finally {
      await sql`RESET maintenance_work_mem`.execute(connection);
    }
  });
}

async function remove(tx: Transaction<unknown>, number: number, keys: readonly string[]): Promise<number> {
  const { numAffectedRows } = await sql`DELETE FROM ${tableOf(number)} WHERE key = ANY(${keys}::text[])`.execute(tx);
  return Number(numAffectedRows ?? 0n);
}

/** @returns what a prefix may be completed to. */
async function insert(
  tx: Transaction<unknown>,
  number: number,
  documents: readonly SearchDocument[],
): Promise<Iterable<string>> {
  const ids = await freeIds(tx, number, documents);
  const column = (value: (document: SearchDocument, i: number) => unknown) => documents.map(value);
  const terms = new Set<string>();
  const lexemes = column((document, i) => {
    const made = filed(document, nodesOf(ids[i] ?? 0n));
    for (const term of made.terms) terms.add(term);
    return made.lexemes.join(LEXEME_SEPARATOR);
  });
  await sql`
    INSERT INTO ${tableOf(number)} (id, key, type, title, text, words, fields, facets, created_at, is_landmark, terms)
    SELECT id, key, type, title, text, words, fields, facets, created_at, is_landmark,
           array_to_tsvector(string_to_array(lexemes, ${LEXEME_SEPARATOR}))
      FROM unnest(
        ${ids.map(String)}::bigint[],
        ${column(({ key }) => storable(key))}::text[],
        ${column(({ type }) => type)}::text[],
        ${column(({ title }) => storable(title))}::text[],
        ${column(({ text }) => storable(text))}::text[],
        ${column(wordsColumn)}::text[],
        ${column(({ fields }) => jsonOf(fields))}::jsonb[],
        ${column(({ fields }) => facetsOf(fields))}::jsonb[],
        ${column(({ createdAt }) => Math.trunc(createdAt))}::bigint[],
        ${column(({ key }) => isLandmark(key))}::boolean[],
        ${lexemes}::text[]
      ) AS brought (id, key, type, title, text, words, fields, facets, created_at, is_landmark, lexemes)`.execute(tx);
  return terms;
}

/** For each document the first free id from where it belongs, or one near it. */
async function freeIds(
  tx: Transaction<unknown>,
  number: number,
  documents: readonly SearchDocument[],
): Promise<readonly bigint[]> {
  const ids = documents.map(({ key, createdAt }) => idsOf(createdAt) + placeOf(key));
  for (let tries = 1; ; tries++) {
    const { rows } = await sql<{ id: string }>`
      SELECT id::text FROM ${tableOf(number)} WHERE id = ANY(${ids.map(String)}::bigint[])`.execute(tx);
    const taken = new Set(rows.map(({ id }) => id));
    let clashes = 0;
    for (const [i, id] of ids.entries()) {
      if (taken.has(String(id))) {
        clashes += 1;
        ids[i] = id + (tries < MAX_NEIGHBOURS ? 1n : placeOf(`${documents[i]?.key}#${tries}`));
      } else taken.add(String(id));
    }
    if (clashes === 0) return ids;
  }
}

/** Of `file:42`, 42: the same in an index that is made anew, and beside 41 in this one. Other keys are scattered. */
function placeOf(key: string): bigint {
  const number = /:(\d{1,15})$/.exec(key)?.[1];
  return placeAmong(
    number === undefined ? BigInt(createHash("sha256").update(key).digest().readUIntBE(0, 6)) : BigInt(number),
  );
}

/** The last one of each key. */
function byKey(documents: readonly SearchDocument[]): Map<string, SearchDocument> {
  return new Map(documents.map((document) => [storable(document.key), document]));
}

function jsonOf(fields: Readonly<Record<string, readonly (string | number)[]>>): string {
  const entries = Object.entries(fields).map(([field, values]) => [
    storable(field),
    values.map((value) => (typeof value === "string" ? storable(value) : value)),
  ]);
  return JSON.stringify(Object.fromEntries(entries));
}

/** Values that are counted, each once, by the names that are asked for; `null` when these are the fields as they are. */
function facetsOf(fields: SearchDocument["fields"]): string | null {
  const facets = new Map<string, Set<string>>();
  let isSame = true;
  for (const [field, values] of Object.entries(fields)) {
    const name = foldedValue(field);
    const counted = facets.get(name) ?? new Set();
    const before = counted.size;
    for (const value of values) counted.add(String(value));
    isSame &&= name === field && before === 0 && counted.size === values.length;
    facets.set(name, counted);
  }
  return isSame ? null : jsonOf(Object.fromEntries(Array.from(facets, ([name, values]) => [name, [...values]])));
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}

function isAway(error: unknown): error is AppError {
  return error instanceof AppError && error.code === "database_unavailable";
}
