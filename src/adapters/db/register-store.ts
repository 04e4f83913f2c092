import type { Kysely, Transaction } from "kysely";
import type { OutboxMessage } from "../../core/catalogue/catalogue-store.ts";
import type { Entry, EntryEvent } from "../../core/registers/entry.ts";
import { type EntryGuard, type NewEntry, type RegisterStore, STALE } from "../../core/registers/register-store.ts";
import { insertRows } from "./insert-rows.ts";
import { createJob, type Enqueue } from "./job-writes.ts";
import type { DialectName } from "./migrate.ts";
import { putMessages } from "./outbox.ts";
import { registerDeclarations } from "./register-declarations.ts";
import {
  changedNames,
  entryOf,
  inBatches,
  keyHolder,
  noteEvents,
  putKeys,
  REQUEST,
  requestKey,
  valueKey,
  valuesOf,
} from "./register-rows.ts";
import { fromJson, type Tables, toJson } from "./tables.ts";

/** Registers in SQLite or PostgreSQL; they differ in locks, as SQLite has a single writer, and in views. */
export function sqlRegisterStore(db: Kysely<Tables>, dialect: DialectName, enqueue: Enqueue): RegisterStore {
  const isPostgres = dialect === "postgres";

  /** Whether the register's declaration is still this one; it stays so until the transaction is over. */
  async function isCurrent(tx: Transaction<Tables>, register: string, revision: number): Promise<boolean> {
    const found = await tx
      .selectFrom("registers")
      .select("name")
      .where("name", "=", register)
      .where("revision", "=", revision)
      .$if(isPostgres, (select) => select.forShare())
      .executeTakeFirst();
    return found !== undefined;
  }

  async function found(tx: Transaction<Tables>, guard: Omit<EntryGuard, "revision">) {
    const { register, id, version, job } = guard;
    return tx
      .selectFrom("registerEntries")
      .selectAll()
      .where("register", "=", register)
      .where("id", "=", id)
      .$if(version !== undefined, (some) => some.where("version", "=", version ?? 0))
      .$if(job !== undefined, (some) => some.where("job", "=", job ?? null))
      .$if(isPostgres, (select) => select.forUpdate())
      .executeTakeFirst();
  }

  async function makeOne(
    tx: Transaction<Tables>,
    register: string,
    id: number,
    at: number,
    made: NewEntry,
    now: number,
  ) {
    const { owner, status, reason, dueAt, job } = made;
    await putKeys(tx, register, id, made.keys, at);
    const row = await tx
      .insertInto("registerEntries")
      .values({
        register,
        id,
        owner,
        status,
        version: 1,
        attempts: 0,
        reason,
        fields: toJson(made.fields),
        job: job?.id ?? null,
        settled: 0,
        dueAt,
        createdAt: now,
        updatedAt: now,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
    if (job) await createJob(tx, enqueue, { ...job, input: { ...job.input, entry: id } });
    return entryOf(row);
  }

  return {
    ...registerDeclarations(db, dialect),

    create: (register, revision, entries, now, repeatable) =>
      db.transaction().execute(async (tx) => {
        const counter = await tx
          .updateTable("registers")
          .set((row) => ({ lastId: row("lastId", "+", entries.length) }))
          .where("name", "=", register)
          .where("revision", "=", revision)
          .returning("lastId")
          .executeTakeFirst();
        if (!counter) return STALE;
        if (repeatable !== undefined) {
          const earlier = await keyHolder(tx, register, requestKey(repeatable));
          // Of one that was removed since, nothing but the key is known: it makes a new one.
          const row = earlier === undefined ? undefined : await found(tx, { register, id: earlier });
          if (row) return [entryOf(row)];
        }
        const first = counter.lastId - entries.length + 1;
        const made: Entry[] = [];
        const messages: OutboxMessage[] = [];
        for (const [at, entry] of entries.entries()) {
          const one = await makeOne(tx, register, first + at, at, entry, now);
          made.push(one);
          messages.push(...entry.tell(one));
        }
        if (repeatable !== undefined && made[0]) await putKeys(tx, register, made[0].id, [requestKey(repeatable)], 0);
        await inBatches(made.flatMap(valuesOf), (rows) => insertRows(tx, "registerValues", rows).execute());
        const events = made.map(({ id, status, fields }, at) => ({
          register,
          entry: id,
          at: now,
          actor: entries[at]?.actor ?? "",
          fromStatus: null,
          toStatus: status,
          reason: entries[at]?.reason ?? null,
          changed: toJson(Object.keys(fields)),
        }));
        await noteEvents(tx, events);
        await inBatches(messages, (some) => putMessages(tx, some, now));
        return made;
      }),

    async get(register, id) {
      const row = await db
        .selectFrom("registerEntries")
        .selectAll()
        .where("register", "=", register)
        .where("id", "=", id)
        .executeTakeFirst();
      return row && entryOf(row);
    },

    async list({ register, owner, status, id, fields = {}, afterId, limit }) {
      let query = db.selectFrom("registerEntries").selectAll().where("register", "=", register);
      if (owner !== undefined) query = query.where("owner", "=", owner);
      if (status !== undefined) query = query.where("status", "=", status);
      if (id !== undefined) query = query.where("id", "=", id);
      if (afterId !== undefined) query = query.where("id", ">", afterId);
      for (const [field, value] of Object.entries(fields))
        query = query.where("id", "in", (some) =>
          some
            .selectFrom("registerValues")
            .select("entry")
            .where("register", "=", register)
            .where("field", "=", field)
            .where("value", "=", valueKey(value)),
        );
      const rows = await query.orderBy("id").limit(limit).execute();
      return rows.map(entryOf);
    },

    async counts(register) {
      const rows = await db
        .selectFrom("registerEntries")
        .select((row) => ["status", row.fn.countAll<number>().as("entries")])
        .where("register", "=", register)
        .groupBy("status")
        .execute();
      return Object.fromEntries(rows.map(({ status, entries }) => [status, entries]));
    },

    change: (guard, change, now) =>
      db.transaction().execute(async (tx) => {
        const { register, id } = guard;
        if (!(await isCurrent(tx, register, guard.revision))) return STALE;
        const before = await found(tx, guard);
        if (!before) return undefined;
        const { status, attempts, reason, dueAt, fields, keys, job, settled } = change;
        const row = await tx
          .updateTable("registerEntries")
          // Kysely leaves out columns whose value is `undefined`.
          .set({
            status,
            attempts,
            reason,
            dueAt,
            fields: fields && toJson(fields),
            job: job === undefined ? undefined : (job?.id ?? null),
            settled: settled === undefined ? undefined : Number(settled),
            version: before.version + 1,
            updatedAt: now,
          })
          .where("number", "=", before.number)
          .returningAll()
          .executeTakeFirstOrThrow();
        const entry = entryOf(row);
        if (keys) {
          await tx
            .deleteFrom("registerKeys")
            .where("register", "=", register)
            .where("entry", "=", id)
            .where("key", "not like", `${REQUEST}%`)
            .execute();
          await putKeys(tx, register, id, keys, 0);
        }
        if (fields) {
          await tx.deleteFrom("registerValues").where("register", "=", register).where("entry", "=", id).execute();
          await inBatches(valuesOf(entry), (rows) => insertRows(tx, "registerValues", rows).execute());
        }
        if (job) await createJob(tx, enqueue, job);
        if (change.isNoted)
          await noteEvents(tx, [
            {
              register,
              entry: id,
              at: now,
              actor: change.actor,
              fromStatus: before.status,
              toStatus: entry.status,
              reason: reason ?? null,
              changed: toJson(changedNames(fromJson(before.fields), entry.fields)),
            },
          ]);
        await putMessages(tx, change.tell?.(entry) ?? [], now);
        return entry;
      }),

    remove: (guard, actor, reason, now) =>
      db.transaction().execute(async (tx) => {
        const { register, id } = guard;
        const before = await found(tx, guard);
        if (!before) return false;
        await tx.deleteFrom("registerValues").where("register", "=", register).where("entry", "=", id).execute();
        await tx.deleteFrom("registerKeys").where("register", "=", register).where("entry", "=", id).execute();
        await tx.deleteFrom("registerEntries").where("number", "=", before.number).execute();
        const fromStatus = before.status;
        const gone = { register, entry: id, at: now, actor, fromStatus, toStatus: null, reason, changed: toJson([]) };
        await noteEvents(tx, [gone]);
        return true;
      }),

    async history(register, id, afterSeq, limit) {
      const rows = await db
        .selectFrom("registerEvents")
        .selectAll()
        .where("register", "=", register)
        .where("entry", "=", id)
        .where("seq", ">", afterSeq)
        .orderBy("seq")
        .limit(limit)
        .execute();
      return rows.map(
        ({ seq, at, actor, fromStatus, toStatus, reason, changed }): EntryEvent => ({
          seq,
          at,
          actor,
          from: fromStatus,
          to: toStatus,
          reason,
          changed: fromJson(changed),
        }),
      );
    },

    async due(now, limit) {
      const rows = await db
        .selectFrom("registerEntries")
        .selectAll()
        .where("dueAt", "<=", now)
        .orderBy("dueAt")
        .limit(limit)
        .execute();
      return rows.map(entryOf);
    },

    async idle(register, status, limit) {
      const rows = await db
        .selectFrom("registerEntries")
        .selectAll()
        .where("register", "=", register)
        .where("status", "=", status)
        .where("job", "is", null)
        .limit(limit)
        .execute();
      return rows.map(entryOf);
    },
  };
}
