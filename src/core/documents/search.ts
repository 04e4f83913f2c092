import type { Principal } from "../access/access.ts";
import { AppError } from "../errors.ts";
import type { Document, DocumentIndex } from "./document.ts";
import {
  compareValues,
  type FieldValue,
  fieldReader,
  type JsonObject,
  kindOf,
  readerOf,
  valueAs,
} from "./field-values.ts";
import { type FieldMapping, fieldAt } from "./mapping.ts";
import {
  type Candidate,
  compileQuery,
  type DocumentQuery,
  narrowingOf,
  type QueryContext,
  type Scorer,
  wantedIds,
} from "./query.ts";

/** Most of an answer that can be looked at by `from` and `size`; what is behind it, by `after`. */
export const RESULT_WINDOW = 10_000;
const IDS_AT_ONCE = 500;
const HITS_AT_ONCE = 100;

export interface SortField {
  /** `_score`, `_doc` (the order of the index), `_id`, or a field. */
  readonly field: string;
  readonly descending: boolean;
  readonly missingFirst: boolean;
  /** What to take a field for that an index does not have. */
  readonly unmappedType?: string | undefined;
  /** Which of several values counts; the one that comes first when left out. */
  readonly mode?: "min" | "max" | undefined;
}

/** `null`: the document has none. */
export type SortKey = FieldValue | null;

export interface DocumentSearch {
  readonly query: DocumentQuery;
  /** None: the best come first, and of those that are as good the oldest. */
  readonly sort: readonly SortField[];
  readonly from: number;
  readonly size: number;
  /** Sort keys of the hit before the first one wanted. */
  readonly after?: readonly SortKey[] | undefined;
}

export interface Hit {
  readonly index: string;
  readonly document: Document;
  readonly score: number;
  readonly keys: readonly SortKey[];
}

export interface Found {
  readonly total: number;
  /** `null`: nothing was found. */
  readonly bestScore: number | null;
  /** Those of the page, as they are when they are read: what no longer answers by then is left out. */
  hits(): AsyncGenerator<Hit>;
}

interface Place {
  readonly target: Target;
  readonly id: string;
  readonly score: number;
  readonly keys: readonly SortKey[];
}

interface Target {
  readonly index: DocumentIndex;
  readonly score: Scorer;
  readonly keysOf: (candidate: Candidate, score: number, number: number) => readonly SortKey[];
  readonly after: readonly SortKey[] | undefined;
}

const BY_SCORE: SortField = { field: "_score", descending: true, missingFirst: false };

/**
 * Looks at all documents of the indices, or at those alone that the query names by id. Memory: ids and keys of twice as
 * many documents as come before the end of the page, and no more than a few documents.
 * @throws AppError document_query_invalid.
 */
export async function searchDocuments(
  principal: Principal,
  indices: readonly DocumentIndex[],
  search: DocumentSearch,
  context: Omit<QueryContext, "mapping">,
): Promise<Found> {
  const { query, from, size, after } = search;
  if (from + size > RESULT_WINDOW)
    throw invalid(
      `Result window is too large, from + size must be less than or equal to: [${RESULT_WINDOW}] but was [${from + size}]. See the scroll api for a more efficient way to request large data sets. This limit can be set by changing the [index.max_result_window] index level setting.`,
    );
  const sort = search.sort.length === 0 ? [BY_SCORE] : search.sort;
  if (after && after.length !== search.sort.length)
    throw invalid(`search_after has ${after.length} value(s) but sort has ${search.sort.length}.`);
  const targets = indices.map((index): Target => {
    const own = { ...context, mapping: index.mapping };
    return {
      index,
      score: compileQuery(query, own),
      keysOf: keyReader(sort, index),
      after: after && readKeys(sort, index, after),
    };
  });
  const order = comparison(sort);
  const first = firstOf<Place>(from + size, (a, b) => order(a.keys, b.keys));
  let total = 0;
  let bestScore: number | null = null;
  for (const target of targets)
    for await (const batch of documentsOf(principal, target.index, query))
      for (const document of batch) {
        const candidate = candidateOf(document);
        const score = target.score(candidate);
        if (score === undefined) continue;
        total++;
        bestScore = Math.max(bestScore ?? score, score);
        const keys = target.keysOf(candidate, score, document.number);
        if (!target.after || order(keys, target.after) > 0) first.offer({ target, id: document.id, score, keys });
      }
  const page = first.take().slice(from);
  return { total, bestScore, hits: () => hitsOf(principal, page) };
}

/** @throws AppError document_query_invalid. */
export async function countDocuments(
  principal: Principal,
  indices: readonly DocumentIndex[],
  query: DocumentQuery,
  context: Omit<QueryContext, "mapping">,
): Promise<number> {
  if (query.kind === "all") {
    const counts = await Promise.all(indices.map((index) => index.count(principal)));
    return counts.reduce((sum, count) => sum + count, 0);
  }
  const found = await searchDocuments(principal, indices, { query, sort: [], from: 0, size: 0 }, context);
  return found.total;
}

const candidateOf = ({ id, source }: Document): Candidate => ({ id, fields: JSON.parse(source) as JsonObject });

async function* documentsOf(
  principal: Principal,
  index: DocumentIndex,
  query: DocumentQuery,
): AsyncIterable<readonly Document[]> {
  const ids = wantedIds(query);
  if (!ids) {
    yield* index.scan(principal, narrowingOf(query));
    return;
  }
  const each = [...new Set(ids)];
  for (let at = 0; at < each.length; at += IDS_AT_ONCE) {
    const found = await index.documents(principal, each.slice(at, at + IDS_AT_ONCE));
    yield [...found].sort((a, b) => a.number - b.number);
  }
}

async function* hitsOf(principal: Principal, page: readonly Place[]): AsyncGenerator<Hit> {
  for (let at = 0; at < page.length; at += HITS_AT_ONCE) {
    const places = page.slice(at, at + HITS_AT_ONCE);
    const found = new Map<string, Document>();
    for (const [index, ofIndex] of Map.groupBy(places, ({ target }) => target.index)) {
      const documents = await index.documents(
        principal,
        ofIndex.map(({ id }) => id),
      );
      for (const document of documents) found.set(`${index.name}/${document.id}`, document);
    }
    for (const { target, id, score, keys } of places) {
      const document = found.get(`${target.index.name}/${id}`);
      if (document && target.score(candidateOf(document)) !== undefined)
        yield { index: target.index.name, document, score, keys };
    }
  }
}

/** The first `limit` of everything that is offered; of equals, what was offered first. */
function firstOf<T>(limit: number, compare: (a: T, b: T) => number) {
  let kept: T[] = [];
  const take = () => kept.sort(compare).slice(0, limit);
  return {
    take,
    offer(one: T) {
      if (limit === 0) return;
      kept.push(one);
      if (kept.length >= 2 * limit + 1_000) kept = take();
    },
  };
}

function comparison(sort: readonly SortField[]) {
  return (a: readonly SortKey[], b: readonly SortKey[]): number => {
    for (const [i, { descending, missingFirst }] of sort.entries()) {
      const [left = null, right = null] = [a[i], b[i]];
      if (left === null && right === null) continue;
      if (left === null || right === null) return (left === null) === missingFirst ? -1 : 1;
      const order = compareValues(left, right);
      if (order !== 0) return descending ? -order : order;
    }
    return 0;
  };
}

function keyReader(sort: readonly SortField[], index: DocumentIndex): Target["keysOf"] {
  const readers = sort.map(({ field, descending, mode, unmappedType }): Target["keysOf"] => {
    if (field === "_score") return (_candidate, score) => [score];
    if (field === "_doc" || field === "_shard_doc") return (_candidate, _score, number) => [number];
    if (field === "_id") return ({ id }) => [id];
    const valuesOf = fieldReader(field, sortable(field, index, unmappedType));
    const last = mode === undefined ? descending : mode === "max";
    return ({ fields }) => {
      const [start = null, ...rest] = valuesOf(fields);
      return [
        rest.reduce((best, value) => (best !== null && compareValues(value, best) > 0 === last ? value : best), start),
      ];
    };
  });
  return (candidate, score, number) => readers.flatMap((keys) => keys(candidate, score, number));
}

/** Keys as a client sends them back: numbers may have become text, and dates may be written as such. */
function readKeys(sort: readonly SortField[], index: DocumentIndex, keys: readonly SortKey[]): readonly SortKey[] {
  return sort.map(({ field, unmappedType }, i) => {
    const key = keys[i] ?? null;
    if (key === null || field === "_id") return key;
    const known = field.startsWith("_") ? { type: "double" } : sortable(field, index, unmappedType);
    const value = valueAs(known, key, kindOf(known) === "date" ? readerOf(known, false) : undefined);
    if (value === undefined) throw invalid(`Failed to parse search_after value for field [${field}].`);
    return value;
  });
}

/** @throws AppError document_query_invalid for fields that have no order. */
function sortable(path: string, { mapping }: DocumentIndex, unmappedType: string | undefined): FieldMapping {
  const field = fieldAt(mapping, path) ?? (unmappedType === undefined ? undefined : { type: unmappedType });
  if (!field) throw invalid(`No mapping found for [${path}] in order to sort on`, "query_shard_exception");
  const kind = kindOf(field);
  if (kind === "text" || kind === "object" || kind === undefined)
    throw invalid(
      `Fielddata is disabled on [${path}]. ${field.type} fields are not optimised for operations that require per-document field data like aggregations and sorting, so these operations are disabled by default. Please use a keyword field instead.`,
    );
  return field;
}

const invalid = (reason: string, type = "illegal_argument_exception") =>
  new AppError("document_query_invalid", { type, reason });
