import type { Document } from "../../core/documents/document.ts";
import { isObject, type JsonObject } from "../../core/documents/field-values.ts";
import { type Selection, selectedObject } from "../../core/documents/json-object.ts";
import type { DocumentSearch, Found, Hit, SortField, SortKey } from "../../core/documents/search.ts";
import { RESULT_WINDOW } from "../../core/documents/search.ts";
import { refusal } from "./elasticsearch-error.ts";
import { parseQuery } from "./elasticsearch-query.ts";

const SIZE_DEFAULT = 10;

/** Parameters of an address: of one that comes twice, all values. */
export type Parameters = Readonly<Record<string, string | string[] | undefined>>;

export interface SearchRequest {
  readonly search: DocumentSearch;
  /** `false`: none of the document. */
  readonly selection: Selection | false;
  /** Beyond this many, hits are not counted exactly. */
  readonly countTo: number;
  readonly withVersion: boolean;
  readonly withSeqNo: boolean;
  readonly totalAsNumber: boolean;
}

const KNOWN = [
  "query",
  "sort",
  "size",
  "from",
  "search_after",
  "_source",
  "track_total_hits",
  "version",
  "seq_no_primary_term",
  // These change nothing about which documents are found.
  "timeout",
  "track_scores",
  "explain",
  "profile",
];

/** A search by its body, and by the parameters that stand for parts of it. @throws AppError request_invalid. */
export function parseSearch(body: JsonObject, parameters: Parameters): SearchRequest {
  for (const name of Object.keys(body))
    if (!KNOWN.includes(name)) throw refusal("parsing_exception", `Unknown key for a value in [${name}].`);
  for (const name of ["q", "scroll", "search_type"])
    if (parameters[name] !== undefined)
      throw refusal("illegal_argument_exception", `request [_search] contains unsupported parameter: [${name}]`);

  const from = wholeNumber("from", parameters.from ?? body.from ?? 0);
  const after = body.search_after;
  const sort = sortOf(parameters.sort === undefined ? body.sort : [parameters.sort].flat().join(",").split(","));
  if (after !== undefined && after !== null) {
    if (from > 0)
      throw refusal(
        "action_request_validation_exception",
        "Validation Failed: 1: `from` parameter must be set to 0 when `search_after` is used;",
      );
    if (sort.length === 0) throw refusal("illegal_argument_exception", "Sort must contain at least one field.");
  }
  const track = parameters.track_total_hits ?? body.track_total_hits ?? RESULT_WINDOW;
  return {
    search: {
      query: parseQuery(body.query),
      sort,
      from,
      size: wholeNumber("size", parameters.size ?? body.size ?? SIZE_DEFAULT),
      ...(after !== undefined && after !== null && { after: sortKeys(after) }),
    },
    selection: selectionOf(body._source, parameters),
    countTo: isYes(track) ? Number.POSITIVE_INFINITY : String(track) === "false" ? -1 : wholeNumber("total", track),
    withVersion: isYes(parameters.version ?? body.version),
    withSeqNo: isYes(parameters.seq_no_primary_term ?? body.seq_no_primary_term),
    totalAsNumber: isYes(parameters.rest_total_hits_as_int),
  };
}

const isYes = (value: unknown) => value === true || value === "true" || value === "";

function wholeNumber(name: string, value: unknown): number {
  const number = Number(value);
  if (/^\d{1,9}$/.test(String(value)) && Number.isSafeInteger(number)) return number;
  throw refusal(
    "illegal_argument_exception",
    `[${name}] parameter cannot be negative and is a whole number, found [${value}]`,
  );
}

/** `"field"`, `"field:desc"`, `{"field": "desc"}` or `{"field": {"order": "desc", …}}`, one or a list. */
function sortOf(given: unknown): readonly SortField[] {
  return [given ?? []].flat().map((one): SortField => {
    if (typeof one === "string") {
      const [, field = one, order] = /^(.*):(asc|desc)$/.exec(one) ?? [];
      return sortField(field, order === undefined ? {} : { order });
    }
    const [[field, options] = ["", undefined], ...others] = isObject(one) ? Object.entries(one) : [];
    if (field === "" || others.length > 0) throw refusal("illegal_argument_exception", "malformed sort format");
    return sortField(field, isObject(options) ? options : { order: options });
  });
}

function sortField(field: string, options: JsonObject): SortField {
  const { order = field === "_score" ? "desc" : "asc", missing = "_last", mode, unmapped_type: unmapped } = options;
  for (const name of Object.keys(options))
    if (!["order", "missing", "mode", "unmapped_type", "format", "numeric_type"].includes(name))
      throw refusal("x_content_parse_exception", `[field_sort] unknown field [${name}]`);
  if (order !== "asc" && order !== "desc")
    throw refusal("illegal_argument_exception", `Unknown SortOrder [${String(order)}]`);
  if (missing !== "_last" && missing !== "_first")
    throw refusal("illegal_argument_exception", `[missing] is _first or _last, found [${String(missing)}]`);
  if (mode !== undefined && mode !== "min" && mode !== "max")
    throw refusal("illegal_argument_exception", `Unknown SortMode [${String(mode)}]`);
  return {
    field,
    descending: order === "desc",
    missingFirst: missing === "_first",
    mode,
    unmappedType: typeof unmapped === "string" ? unmapped : undefined,
  };
}

function sortKeys(after: unknown): readonly SortKey[] {
  if (!Array.isArray(after) || after.length === 0)
    throw refusal("illegal_argument_exception", "Values must contains at least one value.");
  return after.map((key) => {
    if (key === null || typeof key === "string" || typeof key === "number") return key;
    if (typeof key === "boolean") return String(key);
    throw refusal("illegal_argument_exception", `Can't handle search_after field value of type [${typeof key}]`);
  });
}

/** What of a document is wanted, by `_source` in a body or the parameters of its name. */
export function selectionOf(given: unknown, parameters: Parameters): Selection | false {
  const { _source, _source_includes, _source_excludes } = parameters;
  const listed = (value: unknown) => [value ?? []].flat().flatMap((part) => String(part).split(","));
  const source = _source ?? given ?? true;
  if (source === false || source === "false") return false;
  const named = source === true || source === "true" || isObject(source) ? [] : listed(source);
  const { includes, include, excludes, exclude } = isObject(source) ? source : {};
  return {
    includes: [...named, ...listed(includes ?? include), ...listed(_source_includes)],
    excludes: [...listed(excludes ?? exclude), ...listed(_source_excludes)],
  };
}

/** A document's members for an answer, as text: the source as it is kept. */
export function sourceMember({ source }: Pick<Document, "source">, selection: Selection | false): string {
  if (selection === false) return "";
  const isWhole = selection.includes.length === 0 && selection.excludes.length === 0;
  return `,"_source":${isWhole ? source : selectedObject(source, selection)}`;
}

/** The answer in pieces, a hit at a time. */
export async function* searchAnswer(found: Found, asked: SearchRequest, tookMs: number): AsyncGenerator<string> {
  const { search, countTo } = asked;
  const isSorted = search.sort.length > 0 && !search.sort.some(({ field }) => field === "_score");
  const value = Math.min(found.total, countTo);
  const total = asked.totalAsNumber ? found.total : { value, relation: found.total > countTo ? "gte" : "eq" };
  const head = {
    took: Math.round(tookMs),
    timed_out: false,
    _shards: { total: 1, successful: 1, skipped: 0, failed: 0 },
  };
  const hits = {
    ...(countTo >= 0 && { total }),
    max_score: isSorted || search.size === 0 ? null : found.bestScore,
  };
  yield `${JSON.stringify(head).slice(0, -1)},"hits":${JSON.stringify(hits).slice(0, -1)},"hits":[`;
  let between = "";
  for await (const hit of found.hits()) {
    yield between + hitText(hit, asked, isSorted);
    between = ",";
  }
  yield "]}}";
}

function hitText({ index, document, score, keys }: Hit, asked: SearchRequest, isSorted: boolean): string {
  const head = {
    _index: index,
    _id: document.id,
    ...(asked.withVersion && { _version: document.version }),
    ...(asked.withSeqNo && { _seq_no: document.seqNo, _primary_term: 1 }),
    _score: isSorted ? null : score,
  };
  const sort = asked.search.sort.length > 0 ? `,"sort":${JSON.stringify(keys)}` : "";
  return `${JSON.stringify(head).slice(0, -1)}${sourceMember(document, asked.selection)}${sort}}`;
}
