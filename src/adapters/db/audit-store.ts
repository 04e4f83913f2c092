import { type Kysely, type Selectable, type SelectQueryBuilder, sql } from "kysely";
import type { AuditEntry, AuditFact, AuditFilter, AuditStore } from "../../core/access/access-stores.ts";
import { sealed } from "../../core/access/audit.ts";
import type { Details } from "../../core/errors.ts";
import type { DialectName } from "./migrate.ts";
import { type JsonText, type Tables, toJson } from "./tables.ts";

export function sqlAuditStore(db: Kysely<Tables>, dialect: DialectName): AuditStore {
  function fitting({ actor, target, actions }: AuditFilter = {}): Entries {
    let entries = db.selectFrom("audit").selectAll();
    if (actor !== undefined) entries = entries.where("actor", "=", actor);
    if (target !== undefined) entries = entries.where("target", "=", target);
    if (actions === undefined) return entries;
    // PostgreSQL takes no empty list.
    return actions.length === 0 ? entries.where(sql.lit(false)) : entries.where("action", "in", actions);
  }

  return {
    append: (make) => db.transaction().execute((tx) => append(tx, dialect, make)),

    list: async (afterSeq, limit, filter) =>
      entriesOf(fitting(filter).where("seq", ">", afterSeq).orderBy("seq").limit(limit)),

    newest: async (beforeSeq, limit, filter) =>
      entriesOf(
        fitting(filter)
          .where("seq", "<", beforeSeq ?? Number.MAX_SAFE_INTEGER)
          .orderBy("seq", "desc")
          .limit(limit),
      ),
  };
}

type Entries = SelectQueryBuilder<Tables, "audit", Selectable<Tables["audit"]>>;

async function entriesOf(entries: Entries): Promise<readonly AuditEntry[]> {
  return (await entries.execute()).map(({ details, ...row }) => ({ ...row, details: detailsOf(details) }));
}

/** Appends as the last thing that `tx` does: from here to its end all other appends wait. */
export async function putFacts(tx: Kysely<Tables>, dialect: DialectName, facts: readonly AuditFact[]): Promise<void> {
  for (const fact of facts) await append(tx, dialect, (last) => sealed(last, fact));
}

async function append(
  tx: Kysely<Tables>,
  dialect: DialectName,
  make: (last: AuditEntry | undefined) => AuditEntry,
): Promise<AuditEntry> {
  // Appends wait for each other; readers do not. On SQLite the transaction has the write lock already.
  if (dialect === "postgres") await sql`lock table audit in share row exclusive mode`.execute(tx);
  const last = await tx.selectFrom("audit").selectAll().orderBy("seq", "desc").limit(1).executeTakeFirst();
  const entry = make(last && { ...last, details: detailsOf(last.details) });
  await tx
    .insertInto("audit")
    .values({ ...entry, details: toJson(entry.details) })
    .execute();
  return entry;
}

function detailsOf(text: JsonText<Details>): Details {
  try {
    return JSON.parse(text);
  } catch {
    return { unreadable: text };
  }
}
