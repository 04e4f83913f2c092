import type { Kysely } from "kysely";
import type { CartEntry, Location } from "../../core/carts/cart.ts";
import type { CartStore, NewEntry } from "../../core/carts/cart-store.ts";
import { modifiedMs } from "../../core/catalogue/modified-time.ts";
import type { DigestName } from "../../core/digest.ts";
import { AppError } from "../../core/errors.ts";
import type { CartId, FileId } from "../../core/ids.ts";
import { insertRows } from "./insert-rows.ts";
import { type CartEntryRow, fromJson, type Tables } from "./tables.ts";

/** See `catalogue-store.ts`: what SQLite holds the event loop for is then about 10 ms. */
const ROWS_PER_STATEMENT = 500;

type EntryMethods = Pick<CartStore, "addEntries" | "entries" | "unstaged" | "staged" | "holdersOf">;

/** The entries of carts. A file of the archive is a path and its id here; the rest is joined from the catalogue. */
export function cartEntries(db: Kysely<Tables>): EntryMethods {
  const known = (tx: Kysely<Tables>, id: CartId) =>
    tx.selectFrom("carts").select(["number", "algorithm"]).where("id", "=", id).where("removed", "=", 0);

  async function page(id: CartId, fromSeq: number, limit: number, onlyUnstaged: boolean): Promise<CartEntry[]> {
    const cart = await known(db, id).executeTakeFirst();
    if (!cart) return [];
    const own = joined(db).where("cart", "=", cart.number).orderBy("seq");
    // By an index of their own: SQLite would look through all entries for the few.
    const unstaged = db
      .selectFrom("cartEntries")
      .select("seq")
      .where("unstaged", "=", 1)
      .where("cart", "=", cart.number)
      .where("seq", ">=", fromSeq)
      .orderBy("seq")
      .limit(limit);
    const rows = onlyUnstaged ? own.where("seq", "in", unstaged) : own.where("seq", ">=", fromSeq).limit(limit);
    return (await rows.execute()).map((row) => entryOf(row, cart.algorithm));
  }

  return {
    async addEntries(id, entries) {
      for (let at = 0; at < entries.length; at += ROWS_PER_STATEMENT) {
        await db.transaction().execute(async (tx) => {
          const cart = await known(tx, id).executeTakeFirst();
          if (!cart) throw new AppError("cart_unknown", { id });
          const last = await tx
            .selectFrom("cartEntries")
            .select("seq")
            .where("cart", "=", cart.number)
            .orderBy("seq", "desc")
            .limit(1)
            .executeTakeFirst();
          const firstSeq = (last?.seq ?? -1) + 1;
          const rows = entries
            .slice(at, at + ROWS_PER_STATEMENT)
            .map((entry, index) => entryRow(entry, cart.number, firstSeq + index));
          await insertRows(tx, "cartEntries", rows).execute();
        });
      }
    },

    entries: (id, fromSeq, limit) => page(id, fromSeq, limit, false),
    unstaged: (id, fromSeq, limit) => page(id, fromSeq, limit, true),

    async staged(id, seq, { location, ...facts }) {
      await db
        .updateTable("cartEntries")
        .set({ ...facts, location: location.at, locatedAt: placeOf(location), unstaged: 0 })
        .where("cart", "=", known(db, id).clearSelect().select("number"))
        .where("seq", "=", seq)
        .execute();
    },

    async holdersOf(stagedKey) {
      const rows = await db
        .selectFrom("cartEntries")
        .innerJoin("carts", "carts.number", "cartEntries.cart")
        .select("carts.id")
        .distinct()
        .where("location", "=", "staged")
        .where("locatedAt", "=", stagedKey)
        .where("removed", "=", 0)
        .where("status", "in", ["waiting", "staging", "ready"])
        .execute();
      return rows.map(({ id }) => id);
    },
  };
}

/** Through `transactions`, as file rows without one are not visible yet, or not any more. */
const joined = (db: Kysely<Tables>) =>
  db
    .selectFrom("cartEntries as entry")
    .leftJoin("files as file", "file.id", "entry.fileId")
    .leftJoin("transactions as tx", "tx.id", "file.transactionId")
    .select([
      "entry.seq",
      "entry.path",
      "entry.fileId",
      "entry.sizeBytes",
      "entry.modifiedAt",
      "entry.crc32",
      "entry.digest",
      "entry.location",
      "entry.locatedAt",
      "entry.expectedAlgorithm",
      "entry.expectedValue",
      "file.transactionId",
      "file.contentPath",
      "file.sizeBytes as fileSizeBytes",
      "file.modifiedAt as fileModifiedAt",
      "file.crc32 as fileCrc32",
      "file.digests",
      "tx.objectPath",
    ]);

type JoinedRow = Awaited<ReturnType<ReturnType<typeof joined>["execute"]>>[number];

function entryOf(row: JoinedRow, algorithm: DigestName): CartEntry {
  const archived = row.fileId === null ? undefined : archivedOf(row, row.fileId, algorithm);
  const sizeBytes = row.sizeBytes ?? archived?.sizeBytes;
  const location = locationOf(row) ?? archived?.location;
  if (sizeBytes === undefined || location === undefined)
    throw new AppError("internal", { seq: row.seq, path: row.path, reason: "a cart entry without a place or a size" });
  return {
    seq: row.seq,
    path: row.path,
    sizeBytes,
    modifiedAt: row.modifiedAt ?? archived?.modifiedAt ?? null,
    crc32: row.crc32 ?? archived?.crc32 ?? null,
    digest: row.digest ?? archived?.digest ?? null,
    fileId: row.fileId,
    transactionId: row.transactionId,
    location,
    expected:
      row.expectedAlgorithm === null || row.expectedValue === null
        ? null
        : { algorithm: row.expectedAlgorithm, value: row.expectedValue },
  };
}

function archivedOf(row: JoinedRow, fileId: FileId, algorithm: DigestName) {
  const { contentPath, objectPath, fileSizeBytes, fileCrc32, digests } = row;
  if (contentPath === null || objectPath === null || fileSizeBytes === null || digests === null)
    throw new AppError("catalogue_mismatch", { path: row.path, fileId, expected: "a file of the archive" });
  return {
    sizeBytes: fileSizeBytes,
    modifiedAt: modifiedMs({ modifiedAt: row.fileModifiedAt }),
    crc32: fileCrc32,
    digest: fromJson(digests)[algorithm] ?? null,
    location: { at: "archive", path: `${objectPath}/${contentPath}` } as const,
  };
}

function locationOf({ location, locatedAt }: JoinedRow): Location | undefined {
  if (location === null || locatedAt === null) return undefined;
  if (location === "archive") return { at: location, path: locatedAt };
  return location === "staged" ? { at: location, key: locatedAt } : { at: location, id: locatedAt };
}

function placeOf(location: Location): string {
  if (location.at === "archive") return location.path;
  return location.at === "staged" ? location.key : location.id;
}

function entryRow(entry: NewEntry, cart: number, seq: number): CartEntryRow {
  const { path, fileId, sizeBytes, modifiedAt, crc32, digest, location, expected, offline = false } = entry;
  const isKnown = location.at !== "remote" && crc32 !== null && digest !== null && expected === null;
  const facts =
    fileId !== null && location.at === "archive"
      ? { sizeBytes: null, modifiedAt: null, crc32: null, digest: null, location: null, locatedAt: null }
      : { sizeBytes, modifiedAt, crc32, digest, location: location.at, locatedAt: placeOf(location) };
  return {
    cart,
    seq,
    path,
    fileId,
    ...facts,
    expectedAlgorithm: expected?.algorithm ?? null,
    expectedValue: expected?.value ?? null,
    unstaged: isKnown && !offline ? 0 : 1,
  };
}
