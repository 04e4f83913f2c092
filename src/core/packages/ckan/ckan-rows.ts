import type { Clock } from "../../clock.ts";
import { AppError, type Details } from "../../errors.ts";
import type { Fetch } from "../../outbound/fetch.ts";
import { type AnswerRoom, answerRoom, fetchWhole } from "../../outbound/fetch-whole.ts";
import { ahead } from "../../streams.ts";
import type { Recipe } from "../package.ts";
import { valuesOf } from "../page-rows.ts";
import type { Cell, Field, Page, RowSource } from "../rows.ts";
import { type SearchResult, searchResult, unfit } from "./answer.ts";
import type { CsvInJson } from "./csv-in-json.ts";
import { firstPosition, nextPosition, type Position, pageParameters, positionDetails, positionOf } from "./paging.ts";

export interface CkanSearch {
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly recipe: Recipe & { readonly apiUrl: string };
  /** The user's key, or the service's own: sent as it is in `Authorization`, to the portal only. */
  readonly key?: string | undefined;
  readonly signal: AbortSignal;
  /** Of a page, whatever is in it: when it would be more, fewer rows are asked for, down to one. */
  readonly maxPageBytes?: number;
}

/** What CKAN gives at most (ckan.datastore.search.rows_max); portals that give less say so. */
const MAX_PAGE_ROWS = 32_000;
/** Small: it shows how wide the rows are, and brings the first of them soon. */
const FIRST_PAGE_ROWS = 500;
/**
 * Pages are made as long as this many bytes of rows of the width seen so far. Two of them are there at a time; shorter ones
 * would ask more often than the pace allows that hosts are asked at.
 */
const PAGE_BYTES = 6 * 1024 * 1024;
const MAX_PAGE_BYTES = 64 * 1024 * 1024;
const LIMITS = { headMs: 120_000, silenceMs: 60_000, totalMs: 600_000 };

/**
 * Asks a portal what it has, then gives its rows page by page: `datastore_search` as CKAN 2.9 to 2.13 answer it, and
 * portals with another back end in ckanpackager's ways.
 *
 * Rows come as PostgreSQL's CSV, which is the smallest and keeps every digit; portals that do not know it answer with lists
 * or objects, which are read as well. After the first page the next ones are asked for by `_id` where the portal can, and
 * by offset where it cannot: then in an order that is made unique, and by what really came rather than what was asked.
 * @throws AppError portal_refused, remote_unavailable, fetch_refused.
 */
export async function ckanRows(portal: CkanSearch): Promise<RowSource> {
  const { fetch, clock, recipe, key, signal, maxPageBytes = MAX_PAGE_BYTES } = portal;
  const { offset = 0 } = recipe;
  const limit = recipe.limit || undefined;
  const query = queryOf(recipe);

  async function search(parameters: Readonly<Record<string, Cell>>, room?: AnswerRoom): Promise<Found> {
    const answer = await fetchWhole(
      fetch,
      {
        method: "POST",
        url: recipe.apiUrl,
        headers: {
          "content-type": "application/json",
          accept: "application/json",
          // CKAN 2.9 takes either field, later ones the first.
          ...(key === undefined ? {} : { authorization: key, "x-ckan-api-key": key }),
        },
        body: JSON.stringify({ ...query, ...parameters }),
        limits: { ...LIMITS, bodyBytes: maxPageBytes },
        signal,
      },
      clock,
      { unfit, room },
    );
    return { result: searchResult(answer), bytes: answer.body.length };
  }

  const { result: about } = await search({ limit: 0, offset: 0 });
  const { fields, backend } = about;
  const isOwn = backend === null;
  const declaredRows = about.total === null ? null : Math.max(0, Math.min(limit ?? Infinity, about.total - offset));
  const wanted = declaredRows ?? limit ?? Infinity;
  /** The portal's count is what ends the rows, not the limit that was asked for. */
  const isAll = declaredRows !== null && declaredRows !== limit;
  const sort = isOwn ? stableSort(recipe, declaredRows, about.total) : recipe.sort;
  const idIndex = fields.findIndex(({ id }) => id === "_id");
  /** Only the order of `_id`, unfiltered by it, can be gone through by it. */
  const mayUseId = isOwn && sort === "_id" && idIndex >= 0 && recipe.filters?._id === undefined;

  async function* fetchPages(from: Details | undefined): AsyncGenerator<Page> {
    let position = from === undefined ? firstPosition(backend, offset) : positionOf(from);
    let usesId = mayUseId;
    let shown: Position["by"] = "offset";
    let pageRows = Math.min(FIRST_PAGE_ROWS, wanted);
    /** One page is used while the next one comes. */
    const rooms = [answerRoom(), answerRoom()];
    let pages = 0;
    while (position.done < wanted) {
      const asked = Math.min(pageRows, wanted - position.done);
      const parameters: Record<string, Cell> = {
        ...(sort === undefined ? {} : { sort }),
        ...pageParameters(position, offset, recipe.filters),
        limit: asked,
        ...(isOwn ? { records_format: "csv", include_total: false } : {}),
      };
      let found: Found;
      try {
        found = await search(parameters, rooms[pages % rooms.length]);
      } catch (error) {
        if (asked > 1 && error instanceof AppError && error.code === "remote_too_large") {
          pageRows = Math.ceil(asked / 8);
          continue;
        }
        // CKAN up to 2.11 knows no ranges in filters, and says so with a validation error.
        if (position.by !== "id" || !isValidationError(error)) throw error;
        usesId = false;
        position = { done: position.done, by: "offset" };
        continue;
      }
      const page = readPage(found.result, fields, idIndex);
      if (position.by === "id" && page.firstId !== undefined && page.firstId <= position.after) {
        // The filter was passed over without a word: these are the first rows again.
        usesId = false;
        position = { done: position.done, by: "offset" };
        continue;
      }
      if (page.rowCount === 0) break;
      if (page.rowCount > asked)
        throw new AppError("portal_refused", { expected: `at most ${asked} rows`, found: page.rowCount });
      shown = position.by;
      const inOrder = nextPosition(position, found.result, page.rowCount, page.lastId);
      const next: Position | null =
        usesId && position.by === "offset" && page.lastId !== undefined
          ? { done: position.done + page.rowCount, by: "id", after: page.lastId }
          : inOrder;
      pages++;
      yield { rowCount: page.rowCount, next: next && positionDetails(next), content: page.content };
      if (next === null) {
        position = { ...position, done: position.done + page.rowCount };
        break;
      }
      position = next;
      pageRows = Math.max(1, Math.min(MAX_PAGE_ROWS, Math.floor((PAGE_BYTES * page.rowCount) / found.bytes)));
    }
    if (declaredRows !== null && position.done !== declaredRows)
      throw new AppError("package_short", { expected: declaredRows, found: position.done });
    // By offset, which every portal knows, unless a page has shown that it knows the other way.
    const behind: Position = position.by === shown ? position : { done: position.done, by: "offset" };
    if (isAll && (await hasMore(behind)) && !(await hasGrown()))
      throw new AppError("package_short", { expected: declaredRows, found: "more" });
  }

  /** Whether there are rows at a position: behind those that were declared. */
  async function hasMore(position: Position): Promise<boolean> {
    const at = pageParameters(position, offset, recipe.filters);
    const { result } = await search({ ...(sort === undefined ? {} : { sort }), ...at, limit: 1 });
    return (result.csv?.rowCount ?? result.records.length) > 0;
  }

  /** Rows that have come since they were counted are left to a later order: what is packed is what was there then. */
  async function hasGrown(): Promise<boolean> {
    const { result } = await search({ limit: 0, offset: 0 });
    return (result.total ?? 0) > (about.total ?? 0);
  }

  return {
    fields,
    declaredRows,
    pages: (from) => ahead(fetchPages(from), 0),
  };
}

/** The parameters that a portal knows; any other would be refused. */
function queryOf(recipe: Recipe): Record<string, Cell> {
  const { resourceId, filters, q, plain, language, fields } = recipe;
  const given = { filters, q, plain, language, fields };
  const present = Object.entries(given).filter(
    (entry): entry is [string, NonNullable<(typeof entry)[1]>] => entry[1] !== undefined,
  );
  return { resource_id: resourceId, ...Object.fromEntries(present) };
}

/**
 * An order in which every row has one place, or pages would overlap and leave gaps. `_id` when none is asked for; but where
 * only the best of a text search are wanted, CKAN's own order by rank is what decides which.
 */
function stableSort(recipe: Recipe, declaredRows: number | null, total: number | null): string | undefined {
  if (recipe.sort !== undefined)
    return /(^|,)\s*"?_id"?(\s|,|$)/.test(recipe.sort) ? recipe.sort : `${recipe.sort}, _id`;
  const isCut = (recipe.limit ?? 0) > 0 && (declaredRows === null || total === null || declaredRows < total);
  return recipe.q !== undefined && isCut ? undefined : "_id";
}

function isValidationError(error: unknown): boolean {
  return error instanceof AppError && error.code === "portal_refused" && error.details.status === 409;
}

interface Found {
  readonly result: SearchResult;
  readonly bytes: number;
}

interface ReadPage {
  readonly rowCount: number;
  readonly content: Page["content"];
  readonly firstId: number | undefined;
  readonly lastId: number | undefined;
}

function readPage({ csv, records }: SearchResult, fields: readonly Field[], idIndex: number): ReadPage {
  if (csv) return csvPage(csv, fields, idIndex);
  const rows = records.map((row) =>
    Array.isArray(row)
      ? (row as readonly Cell[])
      : fields.map(({ id }) => (row as { readonly [key: string]: Cell })[id] ?? null),
  );
  for (const row of rows)
    if (row.length !== fields.length)
      throw new AppError("portal_refused", { expected: `${fields.length} columns`, found: row.length });
  return rowsPage(rows, idIndex);
}

function rowsPage(rows: readonly (readonly Cell[])[], idIndex: number): ReadPage {
  return {
    rowCount: rows.length,
    content: { rows },
    firstId: idOf(rows[0], idIndex),
    lastId: idOf(rows.at(-1), idIndex),
  };
}

function idOf(row: readonly Cell[] | undefined, idIndex: number): number | undefined {
  const id = row?.[idIndex];
  return typeof id === "number" ? id : undefined;
}

/** Only the first and the last row are looked at here: their width, and their ids. @throws AppError portal_refused. */
function csvPage(page: CsvInJson, fields: readonly Field[], idIndex: number): ReadPage {
  const { csv, rowCount, firstRowEnd, lastRowAt, isWhole } = page;
  if (!isWhole)
    throw new AppError("portal_refused", { expected: "CSV with a line end after the last row", found: "none" });
  const ends = [csv.subarray(0, firstRowEnd), csv.subarray(lastRowAt)].map((row) => [
    ...valuesOf({ csv: row }, fields),
  ]);
  return {
    rowCount,
    content: { csv },
    firstId: idOf(ends[0]?.[0], idIndex),
    lastId: idOf(ends[1]?.[0], idIndex),
  };
}
