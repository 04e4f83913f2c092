import type { Details } from "../errors.ts";

/** A column of a CKAN resource, in the portal's order. */
export interface Field {
  readonly id: string;
  /** PostgreSQL's name for it (`text`, `int4`, `numeric`, `timestamp`, `json`, `_text`, …); `text` when the portal has none. */
  readonly type: string;
}

/**
 * A number as the portal spelled it, where JavaScript's own would lose digits of it. A class, since any plain object could
 * be a portal's JSON.
 */
export class ExactNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** JSON's values, with exact numbers. */
export type Cell = string | number | boolean | null | ExactNumber | readonly Cell[] | { readonly [key: string]: Cell };

/** Some rows in a row, whole pages as the portal gave them. */
export interface Page {
  readonly rowCount: number;
  /** Where the next page begins, JSON-safe: given back to `pages` after a crash. `null`: cannot be continued from here. */
  readonly next: Details | null;
  readonly content: PageContent;
}

/**
 * `csv`: the rows as PostgreSQL's COPY writes them, in UTF-8 (LF ends, no header; `t`/`f`; NULL as nothing, an empty text as
 * `""`); there until the next page is asked for, as its memory is used again. `rows`: values in the order of the fields.
 */
export type PageContent = { readonly csv: Uint8Array } | { readonly rows: readonly (readonly Cell[])[] };

/** The rows of one resource as a request chose them. */
export interface RowSource {
  readonly fields: readonly Field[];
  /** How many rows the portal says there will be, limit and offset reckoned in; `null` when it does not say. */
  readonly declaredRows: number | null;
  /**
   * Fetches a few pages ahead while earlier ones are used; memory is that of the pages. Ends after the last row or throws:
   * AppError remote_refused, remote_unavailable, package_short (fewer rows than declared).
   * @param from `next` of the last page that was used, to go on after it.
   */
  pages(from: Details | undefined, signal: AbortSignal): AsyncIterable<Page>;
}
