import { type Kysely, sql } from "kysely";
import type { AuditEntry, AuditFact, AuditStore } from "../../core/access/access-stores.ts";
import { sealed } from "../../core/access/audit.ts";
import type { Details } from "../../core/errors.ts";
import type { DialectName } from "./migrate.ts";
import { type JsonText, type Tables, toJson } from "./tables.ts";

export function sqlAuditStore(db: Kysely<Tables>, dialect: DialectName): AuditStore {
  return {
    append: (make) => db.transaction().execute((tx) => append(tx, dialect, make)),

    async list(afterSeq, limit, { actor, target, actions } = {}) {
      if (actions?.length === 0) return []; // PostgreSQL takes no empty list
      let page = db.selectFrom("audit").selectAll().where("seq", ">", afterSeq).orderBy("seq").limit(limit);
      if (actor !== undefined) page = page.where("actor", "=", actor);
      if (target !== undefined) page = page.where("target", "=", target);
      if (actions !== undefined) page = page.where("action", "in", actions);
      return (await page.execute()).map(({ details, ...row }) => ({ ...row, details: detailsOf(details) }));
    },
  };
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
