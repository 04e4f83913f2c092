import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Fetch } from "../outbound/fetch.ts";
import { cellText } from "./cell-text.ts";
import { ckanRows } from "./ckan/ckan-rows.ts";
import type { OrderRequest } from "./package.ts";
import { valuesOf } from "./page-rows.ts";

/** What an order would bring. */
export interface RowsPreview {
  readonly columns: readonly string[];
  /** The first of them, as a file of text would have them. */
  readonly rows: readonly (readonly string[])[];
  /** Of all that would be packed; `null` when the portal does not say. */
  readonly rowCount: number | null;
}

const ROWS = 10;
/** Somebody waits for it. */
const PATIENCE_MS = 20_000;

/**
 * Asks the portal for the first rows of an order, and how many there are: three small requests.
 * @throws AppError portal_refused, fetch_refused, remote_unavailable, also for a portal that takes too long; request_invalid for
 * a file, which has no rows to ask for.
 */
export async function previewRows(
  { fetch, clock }: { readonly fetch: Fetch; readonly clock: Clock },
  { recipe, key }: Pick<OrderRequest, "recipe" | "key">,
): Promise<RowsPreview> {
  const { apiUrl, kind } = recipe;
  if (kind === "url" || apiUrl === undefined)
    throw new AppError("request_invalid", { field: "kind", expected: "rows of a table", found: kind });
  const signal = AbortSignal.timeout(PATIENCE_MS);
  try {
    const search = { fetch, clock, key, signal };
    const { declaredRows } = await ckanRows({ ...search, recipe: { ...recipe, apiUrl } });
    const limit = Math.min(ROWS, recipe.limit || ROWS);
    const first = await ckanRows({ ...search, recipe: { ...recipe, apiUrl, limit } });
    const rows: (readonly string[])[] = [];
    for await (const { content } of first.pages(undefined, signal)) {
      for (const row of valuesOf(content, first.fields)) rows.push(row.map(cellText));
      if (rows.length >= limit) break;
    }
    return { columns: first.fields.map(({ id }) => id), rows: rows.slice(0, limit), rowCount: declaredRows };
  } catch (error) {
    if (!signal.aborted) throw error;
    const expected = `an answer within ${PATIENCE_MS / 1_000} s`;
    throw new AppError("remote_unavailable", { expected }, { cause: error });
  }
}
