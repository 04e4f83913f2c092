import type { Details, DetailValue } from "../../errors.ts";
import type { Cell } from "../rows.ts";
import type { SearchResult } from "./answer.ts";

/** Where the next page begins. */
export type Position = {
  /** Rows that lie before it, of those that are wanted. */
  readonly done: number;
} & (
  | { readonly by: "offset" }
  /** Records whose `_id` is greater: the same cost however far, and no row twice or not at all when others come and go. */
  | { readonly by: "id"; readonly after: number }
  /** Solr's deep paging; `*` begins. */
  | { readonly by: "cursor"; readonly cursor: Cell }
  /** The versioned datastore's. */
  | { readonly by: "after"; readonly after: Cell | undefined }
);

/** Back ends of portals that page in their own ways, and do not know what CKAN's own can. */
export function firstPosition(backend: string | null, offset: number): Position {
  if (offset === 0 && backend === "solr") return { done: 0, by: "cursor", cursor: "*" };
  if (offset === 0 && backend === "versioned-datastore") return { done: 0, by: "after", after: undefined };
  return { done: 0, by: "offset" };
}

/** What is asked for at a position, beside the query itself. */
export function pageParameters(
  position: Position,
  offset: number,
  filters: { readonly [field: string]: Cell } | undefined,
): Readonly<Record<string, Cell>> {
  switch (position.by) {
    case "offset":
      return { offset: offset + position.done };
    case "id":
      return { filters: { ...filters, _id: { gt: position.after } } };
    case "cursor":
      return { cursor: position.cursor };
    case "after":
      return position.after === undefined ? {} : { after: position.after };
  }
}

/** @returns `null` when the portal says that there is no further page. */
export function nextPosition(
  position: Position,
  result: SearchResult,
  rowCount: number,
  lastId: number | undefined,
): Position | null {
  const done = position.done + rowCount;
  switch (position.by) {
    case "offset":
      return { done, by: "offset" };
    case "id":
      return lastId === undefined ? null : { done, by: "id", after: lastId };
    case "cursor": {
      const same = result.nextCursor === position.cursor;
      return result.nextCursor === null || same ? null : { done, by: "cursor", cursor: result.nextCursor };
    }
    case "after":
      return result.after === null ? null : { done, by: "after", after: result.after };
  }
}

/** JSON-safe, for the checkpoint. Cursors are the portal's own JSON. */
export function positionDetails(position: Position): Details {
  return JSON.parse(JSON.stringify(position)) as { readonly [key: string]: DetailValue };
}

export function positionOf(details: Details): Position {
  return details as unknown as Position;
}
