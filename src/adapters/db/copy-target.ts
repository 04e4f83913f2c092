import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { CamelCasePlugin, Kysely } from "kysely";
import type { Clock } from "../../core/clock.ts";
import { pgBossJobQueue } from "../queue/pg-boss.ts";
import { sqliteJobQueue } from "../queue/sqlite.ts";
import type { DatabaseAddress } from "./address.ts";
import type { Copied, Side } from "./copy.ts";
import { migrate } from "./migrate.ts";
import { postgresDialect } from "./postgres.ts";
import { sqliteDialect } from "./sqlite.ts";
import type { Tables } from "./tables.ts";

/** Jobs that are put into the queue with one call. */
const JOBS_AT_ONCE = 500;

export interface CopyTarget extends Side {
  /**
   * Queues are not copied: each kind of database has its own. What waits, and what a worker held that is gone now, is put into
   * this one's as part of `tx`; what a request was feeding is found by the next worker as ever. @returns how many.
   */
  queueAll(tx: Kysely<Copied>): Promise<number>;
  close(): Promise<void>;
}

/** A database to copy into: its tables and its queue are made, if need be. */
export async function openCopyTarget(address: DatabaseAddress, clock: Clock): Promise<CopyTarget> {
  const onTrouble = () => {}; // what is asked for next fails
  if (address.dialect === "sqlite") await mkdir(dirname(address.path), { recursive: true });
  const dialect =
    address.dialect === "sqlite"
      ? sqliteDialect(address.path)
      : await postgresDialect({ url: address.url, poolSize: 2, onTrouble });
  const db = new Kysely<Tables>({ dialect, plugins: [new CamelCasePlugin()] });
  try {
    await migrate(db, address.dialect);
    const { queue, enqueue } =
      address.dialect === "sqlite"
        ? sqliteJobQueue(db, clock)
        : await pgBossJobQueue(db, address.url, clock, onTrouble);
    return {
      dialect: address.dialect,
      db: asCopied(db.withoutPlugins()),
      async queueAll(tx) {
        const jobs = asTables(tx).withPlugin(new CamelCasePlugin());
        let queued = 0;
        for (let last = 0; ; ) {
          const page = await jobs
            .selectFrom("jobs")
            .select(["id as jobId", "kind", "lane", "owner", "priority"])
            .where("state", "in", ["queued", "running"])
            .where("fedUntil", "is", null)
            .where("id", ">", last as Tables["jobs"]["id"])
            .orderBy("id")
            .limit(JOBS_AT_ONCE)
            .execute();
          if (page.length > 0)
            await enqueue(
              jobs,
              page.map((job) => ({ ...job, dueAt: clock.now() })),
            );
          queued += page.length;
          last = page.at(-1)?.jobId ?? last;
          if (page.length < JOBS_AT_ONCE) return queued;
        }
      },
      async close() {
        await queue.close();
        await db.destroy();
      },
    };
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

/** The same tables, known by their columns' own names, or by ours. */
const asCopied = (db: unknown) => db as Kysely<Copied>;
const asTables = (db: unknown) => db as Kysely<Tables>;
