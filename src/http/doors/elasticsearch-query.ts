import { isObject, type JsonObject } from "../../core/documents/field-values.ts";
import type { DocumentQuery, Least, RangeBounds, Scalar } from "../../core/documents/query.ts";
import { refusal } from "./elasticsearch-error.ts";

const ALL: Least = (count) => count;
const ANY: Least = (count) => Math.min(1, count);
const MAX_DEPTH = 30; // Elasticsearch's own limit, indices.query.bool.max_nested_depth
const MAX_TERMS = 65_536; // and index.max_terms_count

type Parser = (body: JsonObject, depth: number) => DocumentQuery;

/** Elasticsearch's query language, as far as requests of scripts go. Whatever is not known is refused by name. */
const QUERIES: Readonly<Record<string, Parser>> = {
  match_all(body) {
    refuseOthers("match_all", body, []);
    return { kind: "all" };
  },
  match_none(body) {
    refuseOthers("match_none", body, []);
    return { kind: "none" };
  },
  ids(body) {
    refuseOthers("ids", body, ["values"]);
    return { kind: "ids", ids: [body.values ?? []].flat().map(String) };
  },
  exists(body) {
    refuseOthers("exists", body, ["field"]);
    if (typeof body.field !== "string") throw malformed("[exists] must be provided with a [field]");
    return { kind: "exists", field: body.field };
  },
  term(body) {
    const [field, options] = ofField("term", body, "value", ["value", "case_insensitive"]);
    return {
      kind: "terms",
      field,
      values: [scalar("term", options.value)],
      ignoreCase: options.case_insensitive === true,
    };
  },
  terms(body) {
    const { boost: _boost, _name, ...fields } = body;
    const [[field, values] = ["", undefined], ...others] = Object.entries(fields);
    if (others.length > 0) throw malformed("[terms] query does not support multiple fields");
    if (!Array.isArray(values)) throw malformed(`[terms] query requires an array of values for [${field}]`);
    if (values.length > MAX_TERMS) throw malformed(`The number of terms [${values.length}] exceeds [${MAX_TERMS}]`);
    return { kind: "terms", field, values: values.map((value) => scalar("terms", value)) };
  },
  prefix(body) {
    const [field, options] = ofField("prefix", body, "value", ["value", "case_insensitive", "rewrite"]);
    const value = String(scalar("prefix", options.value));
    return { kind: "prefix", field, value, ignoreCase: options.case_insensitive === true };
  },
  match(body) {
    const [field, options] = ofField("match", body, "query", ["query", "operator", "minimum_should_match"]);
    const { operator = "or", minimum_should_match: minimum } = options;
    if (!/^(or|and)$/i.test(String(operator)))
      throw refusal("illegal_argument_exception", `operator needs to be either OR or AND, but not [${operator}]`);
    const fallback = String(operator).toLowerCase() === "and" ? ALL : ANY;
    const least = minimum === undefined || minimum === null ? fallback : leastOf(minimum);
    return { kind: "match", field, value: scalar("match", options.query), least };
  },
  range(body) {
    const bounds = ["gt", "gte", "lt", "lte", "format", "time_zone"];
    const [field, options] = ofField("range", body, "", [...bounds, "relation"]);
    const range: { -readonly [K in keyof RangeBounds]: RangeBounds[K] } = {};
    for (const name of ["gt", "gte", "lt", "lte"] as const) {
      const bound = options[name];
      if (bound !== undefined && bound !== null) range[name] = scalar("range", bound);
    }
    if (typeof options.format === "string") range.format = options.format;
    if (typeof options.time_zone === "string") range.zone = options.time_zone;
    return { kind: "range", field, ...range };
  },
  constant_score(body, depth) {
    refuseOthers("constant_score", body, ["filter"]);
    return parsed(body.filter, depth + 1);
  },
  bool(body, depth) {
    refuseOthers("bool", body, ["must", "filter", "must_not", "should", "minimum_should_match"]);
    const clauses = (name: string) => [body[name] ?? []].flat().map((clause) => parsed(clause, depth + 1));
    const [must, filter, should] = [clauses("must"), clauses("filter"), clauses("should")];
    const { minimum_should_match: minimum } = body;
    const fallback = must.length + filter.length > 0 ? () => 0 : ANY;
    const least = minimum === undefined || minimum === null ? fallback : leastOf(minimum);
    return { kind: "bool", must, filter, mustNot: clauses("must_not"), should, least };
  },
};

/** Of any query. */
const COMMON = ["boost", "_name"];

/** @param query as it was sent; `undefined`: everything. @throws AppError request_invalid with Elasticsearch's type and reason. */
export function parseQuery(query: unknown): DocumentQuery {
  return query === undefined || query === null ? { kind: "all" } : parsed(query, 0);
}

function parsed(query: unknown, depth: number): DocumentQuery {
  if (depth > MAX_DEPTH)
    throw refusal(
      "illegal_argument_exception",
      `The nested depth of the query exceeds the maximum nested depth for queries set in [indices.query.bool.max_nested_depth]`,
    );
  if (!isObject(query)) throw malformed("[_na] query malformed, must start with start_object");
  const [[name, body] = ["", undefined], ...others] = Object.entries(query);
  if (name === "") throw refusal("illegal_argument_exception", "query malformed, empty clause found");
  const parse = Object.hasOwn(QUERIES, name) ? QUERIES[name] : undefined;
  if (!parse) throw malformed(`unknown query [${name}]`);
  if (others.length > 0) throw malformed(`[${name}] malformed query, expected [END_OBJECT] but found [FIELD_NAME]`);
  if (!isObject(body)) throw malformed(`[${name}] query malformed, no start_object after query name`);
  return parse(body, depth);
}

/**
 * The one field that a query is about, with its options.
 * @param short option that a plain value stands for.
 */
function ofField(name: string, body: JsonObject, short: string, known: readonly string[]): [string, JsonObject] {
  const [[field, options] = ["", undefined], second] = Object.entries(body);
  if (field === "") throw refusal("illegal_argument_exception", "fieldName must not be null or empty");
  if (second) throw malformed(`[${name}] query doesn't support multiple fields, found [${field}] and [${second[0]}]`);
  if (isObject(options)) {
    refuseOthers(name, options, known);
    return [field, options];
  }
  if (short === "" || Array.isArray(options))
    throw malformed(`[${name}] query malformed, no start_object after query name`);
  return [field, { [short]: options }];
}

function refuseOthers(name: string, body: JsonObject, known: readonly string[]): void {
  for (const option of Object.keys(body))
    if (!known.includes(option) && !COMMON.includes(option))
      throw malformed(`[${name}] query does not support [${option}]`);
}

function scalar(name: string, value: unknown): Scalar {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  throw refusal("illegal_argument_exception", `[${name}] query: value cannot be null, an array or an object`);
}

/** `2`, `-1` (all but one), `75%` or `-25%`; a share is rounded down. */
function leastOf(minimum: unknown): Least {
  const [, text = "", percent] = /^(-?\d{1,9})(%?)$/.exec(String(minimum)) ?? [];
  if (text === "") throw refusal("number_format_exception", `For input string: "${String(minimum)}"`);
  const number = Number(text);
  return (count) => {
    const share = percent === "" ? number : Math.trunc((count * number) / 100);
    return Math.max(0, number < 0 ? count + share : share);
  };
}

const malformed = (reason: string) => refusal("parsing_exception", reason);
