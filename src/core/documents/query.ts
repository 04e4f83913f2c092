import { AppError } from "../errors.ts";
import { dateMath, isDateMath, zoneOffset } from "./dates.ts";
import {
  compareValues,
  type FieldValue,
  fieldReader,
  isObject,
  type JsonObject,
  kindOf,
  rawValues,
  readerOf,
  valueAs,
  wordsOf,
} from "./field-values.ts";
import { type FieldMapping, fieldAt, type Mapping } from "./mapping.ts";

export type Scalar = string | number | boolean;

/** What is asked of a document; a field is named by its path with dots, `_id` is the document's id. */
export type DocumentQuery =
  | { readonly kind: "all" }
  | { readonly kind: "none" }
  | { readonly kind: "ids"; readonly ids: readonly string[] }
  /** One of the values. */
  | {
      readonly kind: "terms";
      readonly field: string;
      readonly values: readonly Scalar[];
      readonly ignoreCase?: boolean;
    }
  | { readonly kind: "prefix"; readonly field: string; readonly value: string; readonly ignoreCase?: boolean }
  | { readonly kind: "exists"; readonly field: string }
  | ({ readonly kind: "range"; readonly field: string } & RangeBounds)
  /** Words of a text; of other fields the whole value. At least `least` of the words. */
  | { readonly kind: "match"; readonly field: string; readonly value: Scalar; readonly least: Least }
  | {
      readonly kind: "bool";
      readonly must: readonly DocumentQuery[];
      readonly filter: readonly DocumentQuery[];
      readonly mustNot: readonly DocumentQuery[];
      readonly should: readonly DocumentQuery[];
      readonly least: Least;
    };

export interface RangeBounds {
  readonly gt?: Scalar;
  readonly gte?: Scalar;
  readonly lt?: Scalar;
  readonly lte?: Scalar;
  /** Of dates in the bounds, where they have another than the field. */
  readonly format?: string;
  readonly zone?: string;
}

/** How many of so many must be there. */
export type Least = (count: number) => number;

export interface Candidate {
  readonly id: string;
  readonly fields: JsonObject;
}

/**
 * How well a document answers: one point for each clause and word that it has, none for filters. Elasticsearch weighs them
 * by how rare they are. `undefined`: it does not answer.
 */
export type Scorer = (candidate: Candidate) => number | undefined;

export interface QueryContext {
  readonly mapping: Mapping;
  /** Epoch milliseconds. */
  readonly now: number;
  readonly strict: boolean;
}

/** @throws AppError document_query_invalid for what cannot be asked of a field's type. */
export function compileQuery(query: DocumentQuery, context: QueryContext): Scorer {
  switch (query.kind) {
    case "all":
      return () => 1;
    case "none":
      return () => undefined;
    case "ids": {
      const ids = new Set(query.ids);
      return ({ id }) => (ids.has(id) ? 1 : undefined);
    }
    case "bool":
      return bool(query, context);
    case "exists":
      return exists(query.field, context);
    default: {
      if (query.field === "_id")
        return onValues(
          () => compare(query, { type: "keyword" }, context),
          ({ id }) => [id],
        );
      const field = fieldAt(context.mapping, query.field);
      if (!field || kindOf(field) === "object") return () => undefined;
      // A date that has become text is looked at as a whole.
      const isRead = query.kind === "range" && isAskedAsDate(query, field, context);
      const valuesOf = fieldReader(query.field, isRead && kindOf(field) === "text" ? { type: "keyword" } : field);
      return onValues(
        () => compare(query, field, context),
        ({ fields }) => valuesOf(fields),
      );
    }
  }
}

function onValues(
  make: () => (values: readonly FieldValue[]) => number | undefined,
  valuesOf: (candidate: Candidate) => readonly FieldValue[],
): Scorer {
  const score = make();
  return (candidate) => score(valuesOf(candidate));
}

type FieldQuery = Extract<DocumentQuery, { readonly field: string }>;

function compare(
  query: Exclude<FieldQuery, { kind: "exists" }>,
  field: FieldMapping,
  context: QueryContext,
): (values: readonly FieldValue[]) => number | undefined {
  const any = (test: (value: FieldValue) => boolean) => (values: readonly FieldValue[]) =>
    values.some(test) ? 1 : undefined;
  switch (query.kind) {
    case "prefix": {
      const folded = foldIf(query.ignoreCase);
      const beginning = folded(query.value);
      if (kindOf(field) === "date" || kindOf(field) === "number")
        throw impossible(
          `Can only use prefix queries on keyword, text and wildcard fields - not on [${query.field}] which is of type [${field.type}]`,
        );
      return any((value) => folded(value).toString().startsWith(String(beginning)));
    }
    case "terms": {
      if (kindOf(field) === "date") {
        const days = query.values.map((value) => within(query.field, field, { gte: value, lte: value }, context));
        return any((value) => days.some((isWithin) => isWithin(value)));
      }
      const folded = foldIf(query.ignoreCase);
      const wanted = new Set(query.values.map((value) => folded(termOf(query.field, field, value))));
      return any((value) => wanted.has(folded(value)));
    }
    case "range":
      return any(within(query.field, field, query, context));
    case "match": {
      if (kindOf(field) !== "text")
        return compare({ kind: "terms", field: query.field, values: [query.value] }, field, context);
      const words = [...new Set(wordsOf(String(query.value)))];
      const least = Math.max(1, query.least(words.length));
      return (values) => {
        const found = words.filter((word) => values.includes(word)).length;
        return found >= least ? found : undefined;
      };
    }
  }
}

const foldIf = (ignoreCase: boolean | undefined) => (value: FieldValue) =>
  ignoreCase ? String(value).toLowerCase() : value;

function termOf(path: string, field: FieldMapping, value: Scalar): FieldValue {
  const found = valueAs(field, value, undefined);
  if (found !== undefined) return found;
  throw impossible(`failed to create query: For input string: "${value}" of field [${path}] of type [${field.type}]`);
}

function within(path: string, field: FieldMapping, bounds: RangeBounds, context: QueryContext) {
  const isDate = isAskedAsDate(bounds, field, context);
  const compared = isDate ? dateBounds(path, field, bounds, context) : plainBounds(path, field, bounds);
  const read = isDate && kindOf(field) !== "date" ? readerOf({}, false) : undefined;
  return (raw: FieldValue) => {
    const value = read ? read(String(raw)) : raw;
    if (value === undefined) return false;
    const { gt, gte, lt, lte } = compared;
    return (
      (gt === undefined || compareValues(value, gt) > 0) &&
      (gte === undefined || compareValues(value, gte) >= 0) &&
      (lt === undefined || compareValues(value, lt) < 0) &&
      (lte === undefined || compareValues(value, lte) <= 0)
    );
  };
}

/** Scripts ask by date math of dates that no mapping has called so. */
function isAskedAsDate({ gt, gte, lt, lte }: RangeBounds, field: FieldMapping, { strict }: QueryContext): boolean {
  if (kindOf(field) === "date") return true;
  const isText = kindOf(field) === "text" || kindOf(field) === "keyword";
  return !strict && isText && [gt, gte, lt, lte].some(isMath);
}

const isMath = (bound: unknown) => typeof bound === "string" && isDateMath(bound);

type Compared = { readonly [K in "gt" | "gte" | "lt" | "lte"]?: FieldValue | undefined };

function plainBounds(path: string, field: FieldMapping, { gt, gte, lt, lte }: RangeBounds): Compared {
  // A fraction is more than the whole number that a term would be.
  const numeric = kindOf(field) === "number" ? { type: "double" } : field;
  const bound = (value: Scalar | undefined) => (value === undefined ? undefined : termOf(path, numeric, value));
  return { gt: bound(gt), gte: bound(gte), lt: bound(lt), lte: bound(lte) };
}

function dateBounds(path: string, field: FieldMapping, bounds: RangeBounds, { now, strict }: QueryContext): Compared {
  const { gt, gte, lt, lte, format = field.format, zone } = bounds;
  const offsetMinutes = zoneOffset(zone);
  if (offsetMinutes === undefined)
    throw impossible(`failed to parse time zone [${zone}]: expected an offset like +01:00`);
  const read = readerOf(format === undefined ? {} : { format }, strict);
  const bound = (value: Scalar | undefined, end: boolean) => {
    if (value === undefined) return undefined;
    const found = dateMath(String(value), read, { now, end, offsetMinutes });
    if (found !== undefined) return found;
    throw impossible(`failed to parse date field [${value}] of [${path}]`, "parse_exception");
  };
  return { gt: bound(gt, true), gte: bound(gte, false), lt: bound(lt, false), lte: bound(lte, true) };
}

function exists(path: string, { mapping }: QueryContext): Scorer {
  if (path === "_id") return () => 1;
  const field = fieldAt(mapping, path);
  if (!field) return () => undefined;
  if (kindOf(field) === "object") return ({ fields }) => (rawValues(fields, path).some(holdsSomething) ? 1 : undefined);
  const valuesOf = fieldReader(path, kindOf(field) === "text" ? { ...field, type: "keyword" } : field);
  return ({ fields }) => (valuesOf(fields).length > 0 ? 1 : undefined);
}

function holdsSomething(value: unknown): boolean {
  return isObject(value) ? Object.values(value).some(holdsSomething) : value !== null;
}

function bool(query: Extract<DocumentQuery, { kind: "bool" }>, context: QueryContext): Scorer {
  const compile = (one: DocumentQuery) => compileQuery(one, context);
  const [must, filter, mustNot] = [query.must.map(compile), query.filter.map(compile), query.mustNot.map(compile)];
  const should = query.should.map(compile);
  const least = query.least(should.length);
  return (candidate) => {
    if (mustNot.some((score) => score(candidate) !== undefined)) return undefined;
    if (filter.some((score) => score(candidate) === undefined)) return undefined;
    let sum = 0;
    for (const score of must) {
      const points = score(candidate);
      if (points === undefined) return undefined;
      sum += points;
    }
    const found = should.map((score) => score(candidate)).filter((points) => points !== undefined);
    return found.length < least ? undefined : found.reduce((total, points) => total + points, sum);
  };
}

/** The ids that an answer must be among; `undefined`: the query does not say. */
export function wantedIds(query: DocumentQuery): readonly string[] | undefined {
  if (query.kind === "ids") return query.ids;
  if (query.kind === "terms" && query.field === "_id" && !query.ignoreCase) return query.values.map(String);
  if (query.kind !== "bool") return undefined;
  const lists = [...query.must, ...query.filter].map(wantedIds).filter((ids) => ids !== undefined);
  return lists.sort((a, b) => a.length - b.length)[0];
}

/** The values that an answer must have one of, by field, for indices that need not look at all their documents. */
export function narrowingOf(query: DocumentQuery): Map<string, readonly string[]> {
  if (query.kind === "terms" && !query.ignoreCase) return new Map([[query.field, query.values.map(String)]]);
  if (query.kind !== "bool") return new Map();
  return new Map([...query.must, ...query.filter].flatMap((part) => [...narrowingOf(part)]));
}

const impossible = (reason: string, type = "query_shard_exception") =>
  new AppError("document_query_invalid", { type, reason });
