import { z } from "zod";
import { highlightParts } from "../../core/catalogue/highlight.ts";
import type { Rebuild } from "../../core/catalogue/indexing.ts";
import type { SavedQuery } from "../../core/catalogue/saved-queries.ts";
import { DOCUMENT_TYPES, type SearchHit, type SearchPage } from "../../core/catalogue/search-index.ts";
import { isoTime } from "../../core/clock.ts";
import { savedQueryId } from "../../core/ids.ts";
import { PAGE_PARAMS, pageOf } from "./paging.ts";
import { timeOrNull } from "./schemas.ts";

/** Searches on the wire. */

const MAX_QUERY_LENGTH = 4000;
/** Each is counted over thousands of hits. */
const MAX_FACETS = 10;
const MAX_FIELD_LENGTH = 200;

const Type = z.enum(DOCUMENT_TYPES);
const Time = z.iso.datetime().describe("ISO 8601 in UTC.");
const Field = z.string().min(1).max(MAX_FIELD_LENGTH);
/** Whether it can be understood is for the parser to say, with the column. */
const QueryText = z.string().max(MAX_QUERY_LENGTH);

/** Once, or repeated. */
function several<T extends z.ZodType>(one: T, most: number) {
  return z
    .union([one, z.array(one).max(most)])
    .transform((given): readonly z.output<T>[] => (Array.isArray(given) ? given : [given]));
}

const PAGE_OF_HITS = {
  order: z
    .enum(["relevance", "newest"])
    .default("relevance")
    .describe("Relevance: hits with all words in their title, with some, and the others; each newest first."),
  limit: PAGE_PARAMS.limit,
  cursor: z
    .string()
    .regex(/^[A-Za-z0-9.-]{1,64}$/, "is not a cursor of this server")
    .optional()
    .describe("`next` of the page before; left out for the first page."),
  facet: several(Field, MAX_FACETS)
    .optional()
    .describe("A field whose most frequent values are counted; may be repeated."),
};

export const SearchParams = z.strictObject({
  q: QueryText.default("").describe("The query; nothing at all finds everything."),
  type: several(Type, DOCUMENT_TYPES.length).optional().describe("Only these; may be repeated."),
  ...PAGE_OF_HITS,
});

export const SavedSearchParams = z.strictObject(PAGE_OF_HITS);

export const SuggestParams = z.strictObject({
  field: Field,
  prefix: z.string().max(MAX_FIELD_LENGTH).default(""),
  limit: z.coerce.number().int().min(1).max(100).default(10).describe("How many at most."),
});

export const SuggestionsSchema = z.object({ items: z.array(z.string()).describe("In the alphabet's order.") });

const HitSchema = z
  .object({
    id: z.string().describe("`file:42`, `transaction:7`, `record:<extraction>:<number>`."),
    type: Type,
    title: z.string(),
    highlight: z
      .array(z.object({ text: z.string(), isMatch: z.boolean() }))
      .nullable()
      .describe("The part of its text where something was found, in pieces that are to be shown one behind the other."),
    fields: z
      .record(z.string(), z.array(z.union([z.string(), z.number()])))
      .describe("What queries can name; times are milliseconds since 1970."),
    createdAt: Time,
    links: z.object({ self: z.string().describe("Address of what was found.") }),
  })
  .meta({ id: "SearchHit", description: "Something that fits a query." });

export const HitsSchema = pageOf(HitSchema).extend({
  total: z.int().describe("Hits on all pages together."),
  isLowerBound: z.boolean().describe("There are more than `total`, and facets are those of the newest of them."),
  facets: z
    .record(z.string(), z.array(z.object({ value: z.string(), count: z.int() })))
    .describe("By field, the most frequent first."),
});

/** @param link of `ServerContext`. */
export function hitsOnWire(
  { hits, next, total, isLowerBound, facets }: SearchPage,
  link: (path: string) => string,
): z.output<typeof HitsSchema> {
  return {
    items: hits.map((hit) => hitOnWire(hit, link(pathOf(hit)))),
    next,
    total,
    isLowerBound,
    facets: mapped(facets, (counts) => counts.map((one) => ({ ...one }))),
  };
}

function hitOnWire(hit: SearchHit, address: string): z.output<typeof HitSchema> {
  const { key, type, title, highlight, fields, createdAt } = hit;
  return {
    id: key,
    type,
    title,
    highlight: highlight === null ? null : highlightParts(highlight).map((part) => ({ ...part })),
    fields: mapped(fields, (values) => [...values]),
    createdAt: isoTime(createdAt),
    links: { self: address },
  };
}

/** Keys are the ids of the resources, and lead there. */
function pathOf({ key, type }: SearchHit): string {
  const [, id = "", number = ""] = key.split(":");
  if (type === "record") return `/api/v1/extractions/${id}/records/${number}`;
  return `/api/v1/${type}s/${id}`;
}

/** Fields may be called `__proto__`. */
function mapped<T, W>(record: Readonly<Record<string, T>>, wire: (value: T) => W): Record<string, W> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, wire(value)]));
}

export const SavedQueryBody = z.strictObject({
  name: z
    .string()
    .trim()
    .min(1)
    .max(200)
    .regex(/^[^\p{Cc}\p{Cs}]+$/u, "expected no control characters")
    .describe("No two of one's own have the same."),
  query: QueryText,
  types: z.array(Type).max(DOCUMENT_TYPES.length).default([]).describe("What it looks for; none: everything."),
});

export const SavedQueryChange = z
  .strictObject({
    name: SavedQueryBody.shape.name.exactOptional(),
    query: SavedQueryBody.shape.query.exactOptional(),
    types: SavedQueryBody.shape.types.unwrap().exactOptional(),
  })
  .describe("What is left out stays.");

export const SavedQueryParams = z.strictObject({
  id: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, "is not the id of a saved query")
    .transform(savedQueryId)
    .describe("The saved query's id."),
});

export const SavedQuerySchema = z
  .object({
    id: z.string(),
    owner: z.string(),
    name: z.string(),
    query: z.string(),
    types: z.array(Type).describe("What it looks for; none: everything."),
    createdAt: Time,
  })
  .meta({ id: "SavedQuery", description: "A search that somebody wants to ask again." });

export function savedQueryOnWire({ types, createdAt, ...saved }: SavedQuery): z.output<typeof SavedQuerySchema> {
  return { ...saved, types: [...types], createdAt: isoTime(createdAt) };
}

export const IndexSchema = z
  .object({
    documents: z.int(),
    sizeBytes: z.int().describe("On disk."),
    pending: z.int().describe("Changes that it does not have yet."),
    rebuild: z
      .object({
        startedAt: Time,
        finishedAt: Time.nullable().describe("null while it is under way."),
        done: z.int().describe("Documents so far."),
        total: z.int().describe("About how many there are."),
        error: z.object({ code: z.string(), message: z.string() }).nullable().describe("Why there is no new index."),
      })
      .nullable()
      .describe("The last one since the server was started."),
  })
  .meta({ id: "SearchIndex", description: "How the search index stands." });

export function rebuildOnWire(rebuild: Rebuild | null): z.output<typeof IndexSchema>["rebuild"] {
  if (rebuild === null) return null;
  const { startedAt, finishedAt, error, ...counts } = rebuild;
  return {
    ...counts,
    startedAt: isoTime(startedAt),
    finishedAt: timeOrNull(finishedAt),
    error: error && { code: error.code, message: error.message },
  };
}
