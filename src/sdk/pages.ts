import { type Connection, type Query, query } from "./connection.ts";
import type { Page } from "./types.ts";

export interface PageOptions {
  /** Items fetched at a time, 1 to 1000. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

/** A listing: loop over it to get every item, page after page; or take one page at a time. */
export interface Listing<T> extends AsyncIterable<T> {
  page(cursor?: string): Promise<Page<T>>;
}

export function listing<T>(
  connection: Connection,
  path: string,
  parameters: Query,
  signal: AbortSignal | undefined,
): Listing<T> {
  const page = (cursor?: string) => connection.json<Page<T>>(path + query({ ...parameters, cursor }), { signal });
  return {
    page,
    async *[Symbol.asyncIterator]() {
      let cursor: string | undefined;
      do {
        const { items, next } = await page(cursor);
        yield* items;
        cursor = next ?? undefined;
      } while (cursor !== undefined);
    },
  };
}
