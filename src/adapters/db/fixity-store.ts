import type { Kysely } from "kysely";
import type {
  CheckProgress,
  DueCheck,
  FixityCheck,
  FixityDay,
  FixityStore,
  Spent,
} from "../../core/fixity/fixity-store.ts";
import { putFacts } from "./audit-store.ts";
import type { FixityCheckRow } from "./fixity-rows.ts";
import type { DialectName } from "./migrate.ts";
import { putMessages } from "./outbox.ts";
import { fromJson, type Tables, toJson } from "./tables.ts";

const NOTHING: FixityDay = { bytes: 0, busyMs: 0, checks: 0, failures: 0 };

export function sqlFixityStore(db: Kysely<Tables>, dialect: DialectName): FixityStore {
  async function spend(tx: Kysely<Tables>, { day, bytes, busyMs }: Spent, checks: number, failures: number) {
    await tx
      .insertInto("fixityDays")
      .values({ day, bytes, busyMs, checks, failures })
      .onConflict((conflict) =>
        conflict.column("day").doUpdateSet((row) => ({
          bytes: row("fixityDays.bytes", "+", bytes),
          busyMs: row("fixityDays.busyMs", "+", busyMs),
          checks: row("fixityDays.checks", "+", checks),
          failures: row("fixityDays.failures", "+", failures),
        })),
      )
      .execute();
  }

  /** Compare-and-set: another run may have completed a check of the same transaction. */
  async function change(
    tx: Kysely<Tables>,
    { transactionId, checkedAt }: DueCheck,
    fields: Partial<Omit<FixityCheckRow, "transactionId">>,
  ): Promise<boolean> {
    const { numUpdatedRows } = await tx
      .updateTable("fixityChecks")
      .set(fields)
      .where("transactionId", "=", transactionId)
      .where("checkedAt", "=", checkedAt ?? 0)
      .executeTakeFirstOrThrow();
    return numUpdatedRows === 1n;
  }

  return {
    async oldest(before) {
      const row = await db
        .selectFrom("fixityChecks")
        .selectAll()
        .where("checkedAt", "<", before)
        .orderBy("checkedAt")
        .orderBy("transactionId")
        .limit(1)
        .executeTakeFirst();
      if (!row) return undefined;
      const progress: CheckProgress | null = row.progress && fromJson(row.progress);
      return { transactionId: row.transactionId, checkedAt: row.checkedAt || null, sizeBytes: row.sizeBytes, progress };
    },

    async pause(check, progress, spent) {
      await db.transaction().execute(async (tx) => {
        await change(tx, check, { progress: toJson(progress) });
        await spend(tx, spent, 0, 0);
      });
    },

    complete: (check, { checkedAt, outcome, problemCount, problems }, { fact, messages }, spent) =>
      db.transaction().execute(async (tx) => {
        const verdict = { checkedAt, outcome, problemCount, problems: toJson(problems), progress: null };
        const isFirst = await change(tx, check, verdict);
        await spend(tx, spent, isFirst ? 1 : 0, isFirst && outcome === "failure" ? 1 : 0);
        if (!isFirst) return false;
        await putMessages(tx, messages, checkedAt);
        await putFacts(tx, dialect, [fact]);
        return true;
      }),

    async day(day) {
      const row = await db.selectFrom("fixityDays").selectAll().where("day", "=", day).executeTakeFirst();
      if (!row) return NOTHING;
      const { day: _, ...spent } = row;
      return spent;
    },

    async coverage(since) {
      const { oldest, ...counts } = await db
        .selectFrom("fixityChecks")
        .select(({ fn, eb, and, or, lit }) => {
          const sound = and([eb("checkedAt", ">=", Math.max(since, 1)), eb("outcome", "=", "success")]);
          const count = (condition: ReturnType<typeof or>) =>
            fn.coalesce(fn.sum<number>(eb.case().when(condition).then(lit(1)).else(lit(0)).end()), lit(0));
          return [
            fn.countAll<number>().as("transactions"),
            fn.coalesce(fn.sum<number>("sizeBytes"), lit(0)).as("bytes"),
            count(sound).as("soundTransactions"),
            fn
              .coalesce(fn.sum<number>(eb.case().when(sound).then(eb.ref("sizeBytes")).else(lit(0)).end()), lit(0))
              .as("soundBytes"),
            count(eb("outcome", "=", "failure")).as("failedTransactions"),
            count(eb("checkedAt", "=", 0)).as("neverChecked"),
            fn.min(eb.case().when("checkedAt", ">", 0).then(eb.ref("checkedAt")).end()).as("oldest"),
          ];
        })
        .executeTakeFirstOrThrow();
      return { ...counts, oldestCheckedAt: oldest };
    },

    async check(transaction) {
      const row = await db
        .selectFrom("fixityChecks")
        .selectAll()
        .where("transactionId", "=", transaction)
        .executeTakeFirst();
      return row && checkOf(row);
    },

    async list({ outcome, afterId, limit }) {
      let page = db.selectFrom("fixityChecks").selectAll().orderBy("transactionId").limit(limit);
      if (afterId !== undefined) page = page.where("transactionId", ">", afterId);
      if (outcome === null) page = page.where("checkedAt", "=", 0);
      else if (outcome !== undefined) page = page.where("outcome", "=", outcome);
      return (await page.execute()).map(checkOf);
    },
  };
}

function checkOf({ transactionId, checkedAt, outcome, problemCount, problems }: FixityCheckRow): FixityCheck {
  return { transactionId, checkedAt: checkedAt || null, outcome, problemCount, problems: fromJson(problems) };
}
