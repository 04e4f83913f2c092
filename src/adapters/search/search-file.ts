import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { highlighted, textTerms } from "../../core/catalogue/highlight.ts";
import type { SearchDocument, SearchHit, SearchPage, SearchRequest } from "../../core/catalogue/search-index.ts";
import { AppError } from "../../core/errors.ts";
import { translated } from "../db/sqlite-errors.ts";
import {
  columnsOf,
  type Expand,
  expressionOf,
  foldedValue,
  ownerExpression,
  termExpression,
  tiers,
  valueTerm,
} from "./fts-terms.ts";

/*
 * One index in one SQLite file, with synchronous calls: it lives on a thread.
 *
 * A document's id says when it was created, so the order in which FTS5 finds hits is the one they are shown in: a page costs
 * what is on it, however many hits there are and however far it is from the first.
 *
 * Of 250,000 files with a dozen fields each (bench/search.ts, 2026-11-22), one takes 2.2 kB here and 0.2 ms of CPU time to file.
 */

/** Kept as SQLite's `user_version` when the index is complete. Raised whenever documents would be filed differently. */
const FORMAT = 1;
/** Kept as SQLite's `application_id` by an index that was built from everything there is. */
const FILLED = 1;

/**
 * Hits beyond are not counted: 10,000 with two facets took 24 ms of CPU time (2026-11-22), and a search has 50. What broad
 * queries take is nearly all this, 9 ms with 4,000, 4 ms with 2,000.
 */
const COUNTED = 2000;
const FACET_VALUES = 20;
/** Longer values are found, but not counted: they say something about one document. */
const MAX_FACET_LENGTH = 100;
/** Values that are looked at for hints: those of others' documents count too. */
const MAX_SUGGESTIONS_TRIED = 1000;

/** A prefix with more terms is left to FTS5. */
const MAX_EXPANDED = 40;

/** Documents of one millisecond have so many ids before they take those of the next. */
const IDS_PER_MS = 2n ** 22n;

const SCHEMA = `
  CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    fields TEXT NOT NULL,
    created_at INTEGER NOT NULL
  );
  CREATE TABLE facets (
    field TEXT NOT NULL,
    document INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (field, document, value)
  ) WITHOUT ROWID;
  CREATE VIRTUAL TABLE terms USING fts5(title, body, facts, content='', contentless_delete=1, tokenize='ascii');
  CREATE VIRTUAL TABLE vocabulary USING fts5vocab(terms, instance);
`;

interface StoredDocument {
  readonly id: bigint;
  readonly key: string;
  readonly type: SearchDocument["type"];
  readonly title: string;
  readonly text: string;
  readonly fields: string;
  readonly created_at: bigint;
}

export type SearchFile = ReturnType<typeof openSearchFile>;

/**
 * @param use `write` makes the file when there is none. `build` does not sync until it is complete.
 * @throws AppError database_unavailable, database_damaged, storage_full; so do all calls.
 */
export function openSearchFile(path: string, use: "read" | "write" | "build") {
  const file = translated(() => open(path, use));
  const statements = new Map<string, StatementSync>();

  function prepared(sql: string): StatementSync {
    const known = statements.get(sql);
    if (known) return known;
    const statement = file.prepare(sql);
    statement.setReadBigInts(true); // ids are larger than 2^53
    statements.set(sql, statement);
    return statement;
  }

  // The columns of each statement are named beside its call.
  const all = <Row>(sql: string, ...values: SQLInputValue[]) => prepared(sql).all(...values) as unknown as Row[];
  const first = <Row>(sql: string, ...values: SQLInputValue[]) => all<Row>(sql, ...values)[0];
  const run = (sql: string, ...values: SQLInputValue[]) => prepared(sql).run(...values);

  function transaction(work: () => void): void {
    translated(() => {
      file.exec("BEGIN IMMEDIATE");
      try {
        work();
        file.exec("COMMIT");
      } catch (error) {
        if (file.isTransaction) file.exec("ROLLBACK");
        throw error;
      }
    });
  }

  function drop(key: string): void {
    const stored = first<Pick<StoredDocument, "id" | "fields">>("SELECT id, fields FROM documents WHERE key = ?", key);
    if (!stored) return;
    const { id } = stored;
    run("DELETE FROM terms WHERE rowid = ?", id);
    for (const field of Object.keys(JSON.parse(stored.fields) as SearchDocument["fields"])) {
      run("DELETE FROM facets WHERE field = ? AND document = ?", foldedValue(field), id);
    }
    run("DELETE FROM documents WHERE id = ?", id);
  }

  /** The first free one from where the document belongs. */
  function freeId(document: SearchDocument, taken: ReadonlySet<bigint>): bigint {
    let id = BigInt(Math.trunc(document.createdAt)) * IDS_PER_MS + placeOf(document.key);
    while (taken.has(id) || first("SELECT 1 FROM documents WHERE id = ?", id)) id += 1n;
    return id;
  }

  function add(id: bigint, document: SearchDocument): void {
    const { key, type, title, text, fields, createdAt } = document;
    run(
      "INSERT INTO documents (id, key, type, title, text, fields, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
      id,
      key,
      type,
      title,
      text,
      JSON.stringify(fields),
      Math.trunc(createdAt),
    );
    const columns = columnsOf(document);
    run("INSERT INTO terms (rowid, title, body, facts) VALUES (?, ?, ?, ?)", id, ...Object.values(columns));
    for (const [field, values] of Object.entries(fields)) {
      for (const value of values.map(String)) {
        if (value.length <= MAX_FACET_LENGTH)
          run("INSERT OR IGNORE INTO facets (document, field, value) VALUES (?, ?, ?)", id, foldedValue(field), value);
      }
    }
  }

  function* termsThatBegin(begin: string): Generator<string> {
    for (let from = begin; ; ) {
      const sql = "SELECT term FROM vocabulary WHERE term >= ? ORDER BY term LIMIT 1";
      const term = first<{ term: string }>(sql, from)?.term;
      if (!term?.startsWith(begin)) return;
      yield term;
      // Asked for what is larger than a term, FTS5 would step over all its occurrences; no term holds U+0001.
      from = `${term}\u0001`;
    }
  }

  const expand: Expand = (begin) => {
    const terms = termsThatBegin(begin)
      .take(MAX_EXPANDED + 1)
      .toArray();
    return terms.length > MAX_EXPANDED ? undefined : terms;
  };

  /** What is read by one call is of one moment. */
  function reading<T>(read: () => T): T {
    return translated(() => {
      file.exec("BEGIN");
      try {
        return read();
      } finally {
        file.exec("COMMIT");
      }
    });
  }

  /** Of at most COUNTED hits, the newest: how many, and their facets. */
  function count(expression: string, facets: readonly string[]) {
    file.exec("DELETE FROM temp.hits");
    run(
      `INSERT INTO temp.hits SELECT rowid FROM terms WHERE terms MATCH ? ORDER BY rowid DESC LIMIT ${COUNTED}`,
      expression,
    );
    const total = Number(first<{ total: bigint }>("SELECT count(*) AS total FROM temp.hits")?.total ?? 0n);
    const counted = facets.map((field) => {
      const rows = all<{ value: string; count: bigint }>(
        `SELECT value, count(*) AS count FROM temp.hits CROSS JOIN facets ON field = ? AND document = hit
         GROUP BY value ORDER BY count DESC, value LIMIT ${FACET_VALUES}`,
        foldedValue(field),
      );
      return [field, rows.map((row) => ({ value: row.value, count: Number(row.count) }))] as const;
    });
    return { total, isLowerBound: total === COUNTED, facets: Object.fromEntries(counted) };
  }

  function idsOf(expression: string, before: bigint, limit: number) {
    const sql = "SELECT rowid AS id FROM terms WHERE terms MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?";
    return all<{ id: bigint }>(sql, expression, before, limit);
  }

  /** The same from the hits that have just been counted, which FTS5 need not find again; `undefined` when they do not reach. */
  function idsCounted(before: bigint, limit: number, isLowerBound: boolean) {
    const sql = "SELECT hit AS id FROM temp.hits WHERE hit < ? ORDER BY hit DESC LIMIT ?";
    const ids = all<{ id: bigint }>(sql, before, limit);
    return ids.length === limit || !isLowerBound ? ids : undefined;
  }

  return {
    /** Without the keys in `except`. */
    put(documents: readonly SearchDocument[], except: ReadonlySet<string> = new Set()): void {
      const wanted = new Map(
        documents.filter(({ key }) => !except.has(key)).map((document) => [document.key, document]),
      );
      transaction(() => {
        for (const key of wanted.keys()) drop(key);
        const taken = new Set<bigint>();
        const placed = Array.from(wanted.values(), (document) => {
          const id = freeId(document, taken);
          taken.add(id);
          return { id, document };
        });
        // In the order of ids, FTS5 need not write what it has gathered before the end.
        placed.sort((a, b) => (a.id < b.id ? -1 : 1));
        for (const { id, document } of placed) add(id, document);
      });
    },

    remove(keys: readonly string[]): void {
      transaction(() => {
        for (const key of keys) drop(key);
      });
    },

    search(request: SearchRequest): SearchPage {
      return reading(() => {
        const expression = expressionOf(request, expand);
        const terms = textTerms(request.query);
        const groups = request.order === "relevance" ? tiers(expression, terms, expand) : [expression];
        let { tier, before } = readCursor(request.cursor, request.order, groups.length);
        const counted = count(expression, request.facets ?? []);
        const found: { readonly tier: number; readonly id: bigint }[] = [];
        // One more than asked for tells whether there is a next page.
        while (counted.total > 0 && tier < groups.length && found.length <= request.limit) {
          const wanted = request.limit + 1 - found.length;
          const known = groups.length === 1 ? idsCounted(before, wanted, counted.isLowerBound) : undefined;
          for (const { id } of known ?? idsOf(groups[tier] ?? "", before, wanted)) found.push({ tier, id });
          if (found.length > request.limit) break;
          tier += 1;
          before = HIGHEST;
        }
        const page = found.slice(0, request.limit);
        const last = page.at(-1);
        const hits = page.flatMap(({ id }) => {
          const stored = first<StoredDocument>("SELECT * FROM documents WHERE id = ?", id);
          return stored ? [hitOf(stored, terms)] : [];
        });
        const next = last && found.length > request.limit ? `${request.order}.${last.tier}.${last.id}` : null;
        return { hits, next, ...counted };
      });
    },

    /** In the alphabet's order, in the spelling of the newest document. */
    suggest(field: string, prefix: string, owner: string | undefined, limit: number): readonly string[] {
      return reading(() => {
        const suggestions: string[] = [];
        for (const term of termsThatBegin(valueTerm(field, prefix)).take(MAX_SUGGESTIONS_TRIED)) {
          if (suggestions.length === limit) break;
          const asked = termExpression(term) + (owner === undefined ? "" : ` AND ${ownerExpression(owner)}`);
          const stored = first<{ fields: string }>(
            `SELECT fields FROM documents WHERE id =
               (SELECT rowid FROM terms WHERE terms MATCH ? ORDER BY rowid DESC LIMIT 1)`,
            asked,
          );
          if (!stored) continue;
          const fields = JSON.parse(stored.fields) as SearchDocument["fields"];
          const value = Object.entries(fields)
            .filter(([name]) => foldedValue(name) === foldedValue(field))
            .flatMap(([, values]) => values.map(String))
            .find((candidate) => valueTerm(field, candidate) === term);
          if (value !== undefined) suggestions.push(value);
        }
        return suggestions;
      });
    },

    counts(): { readonly documents: number; readonly sizeBytes: number } {
      return translated(() => {
        const documents = first<{ count: bigint }>("SELECT count(*) AS count FROM documents")?.count ?? 0n;
        const pages = first<{ page_count: bigint }>("PRAGMA page_count")?.page_count ?? 0n;
        const pageBytes = first<{ page_size: bigint }>("PRAGMA page_size")?.page_size ?? 0n;
        return { documents: Number(documents), sizeBytes: Number(pages * pageBytes) };
      });
    },

    /** Makes what was built as good to read as it can be, durable, and from now on the one to use. */
    complete(): void {
      translated(() => {
        file.exec("INSERT INTO terms (terms) VALUES ('optimize')");
        file.exec("PRAGMA synchronous = FULL");
        file.exec(`BEGIN; PRAGMA user_version = ${FORMAT}; PRAGMA application_id = ${FILLED}; COMMIT`);
        file.exec("PRAGMA wal_checkpoint(TRUNCATE)");
      });
    },

    /** Is there an index of this format, ready to be used? */
    isComplete(): boolean {
      return translated(() => first<{ user_version: bigint }>("PRAGMA user_version")?.user_version === BigInt(FORMAT));
    },

    /** Is it one that was completed, and not made empty? */
    isFilled(): boolean {
      return translated(
        () => first<{ application_id: bigint }>("PRAGMA application_id")?.application_id === BigInt(FILLED),
      );
    },

    close: () => file.close(),
  };
}

export function removeSearchFile(path: string): void {
  for (const end of ["", "-wal", "-shm"]) rmSync(path + end, { force: true });
}

const HIGHEST = 2n ** 63n - 1n;

function open(path: string, use: "read" | "write" | "build"): DatabaseSync {
  const file = new DatabaseSync(path, { timeout: 10_000 });
  try {
    file.exec(`PRAGMA journal_mode = WAL; PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY`);
    file.exec(`PRAGMA synchronous = ${use === "build" ? "NORMAL" : "FULL"}`);
    if (use === "read") file.exec("CREATE TEMP TABLE hits (hit INTEGER PRIMARY KEY)");
    else if (!file.prepare("SELECT 1 FROM sqlite_schema").get()) {
      file.exec(`BEGIN; ${SCHEMA}; PRAGMA user_version = ${use === "write" ? FORMAT : 0}; COMMIT`);
    }
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

function hitOf(stored: StoredDocument, terms: ReturnType<typeof textTerms>): SearchHit {
  return {
    key: stored.key,
    type: stored.type,
    title: stored.title,
    highlight: highlighted(stored.text, terms) ?? highlighted(stored.title, terms),
    fields: JSON.parse(stored.fields) as SearchDocument["fields"],
    createdAt: Number(stored.created_at),
  };
}

/** Of `file:42`, 42: the same in an index that is made anew, and beside 41 in this one. Other keys are scattered. */
function placeOf(key: string): bigint {
  const number = /:(\d{1,15})$/.exec(key)?.[1];
  return number === undefined
    ? BigInt(createHash("sha256").update(key).digest().readUIntBE(0, 3)) % IDS_PER_MS
    : BigInt(number) % IDS_PER_MS;
}

function readCursor(cursor: string | undefined, order: string, tierCount: number): { tier: number; before: bigint } {
  if (cursor === undefined) return { tier: 0, before: HIGHEST };
  const [, of, tier, before] = /^(relevance|newest)\.(\d)\.(-?\d{1,19})$/.exec(cursor) ?? [];
  const isOurs = of === order && Number(tier) < tierCount && before !== undefined;
  if (isOurs && BigInt.asIntN(64, BigInt(before)) === BigInt(before))
    return { tier: Number(tier), before: BigInt(before) };
  throw new AppError("request_invalid", { parameter: "cursor", expected: "one of this query's pages", found: cursor });
}
