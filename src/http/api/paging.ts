import { z } from "zod";

const CURSOR_NOTE = "`next` of the page before; left out for the first page.";

/** Where a page begins: opaque to clients, an id to us. */
const CursorParam = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,16}$/, "is not a cursor of this server")
  .transform((cursor, context): number => {
    const id = Number(Buffer.from(cursor, "base64url").toString());
    if (Number.isSafeInteger(id) && id > 0) return id;
    context.addIssue({ code: "custom", message: "is not a cursor of this server" });
    return z.NEVER;
  })
  .optional()
  .describe(CURSOR_NOTE);

/** The same where ids are text: at most 64 characters of base64url, like the cursor itself. */
export function textCursor<Id>(idOf: (text: string) => Id) {
  return z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,96}$/, "is not a cursor of this server")
    .transform((cursor, context): Id => {
      const text = Buffer.from(cursor, "base64url").toString();
      if (/^[A-Za-z0-9_-]{1,64}$/.test(text)) return idOf(text);
      context.addIssue({ code: "custom", message: "is not a cursor of this server" });
      return z.NEVER;
    })
    .optional()
    .describe(CURSOR_NOTE);
}

/** The query parameters of every listing. */
export const PAGE_PARAMS = {
  limit: z.coerce.number().int().min(1).max(1000).default(100).describe("Items in a page."),
  cursor: CursorParam,
};

/** `{ items, next }`. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({
    items: z.array(item),
    next: z.string().nullable().describe("Cursor of the next page; null on the last."),
  });
}

/**
 * Cuts a page from what was asked for with one more than `limit`: that one says whether there is another page.
 * @param keyOf what the next page begins after.
 */
export function cutPage<T, W>(
  found: readonly T[],
  limit: number,
  keyOf: (item: T) => number | string,
  wire: (item: T) => W,
) {
  const shown = found.slice(0, limit);
  const last = shown.at(-1);
  const more = found.length > limit && last !== undefined;
  return {
    items: shown.map(wire),
    next: more ? Buffer.from(String(keyOf(last))).toString("base64url") : null,
  };
}
