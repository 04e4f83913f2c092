import type { Kysely } from "kysely";
import type { Clock } from "../../core/clock.ts";
import type { NodeStore } from "../../core/nodes/nodes.ts";
import { databaseTime } from "./database-time.ts";
import type { DialectName } from "./migrate.ts";
import { fromJson, type Tables, toJson } from "./tables.ts";

/** Nodes in SQLite or PostgreSQL. */
export function sqlNodeStore(db: Kysely<Tables>, dialect: DialectName, clock: Clock): NodeStore {
  const now = () => databaseTime(dialect, clock);

  return {
    async see({ name, lanes, tasks, ...facts }) {
      const changed = { ...facts, lanes: toJson(lanes), tasks: tasks && toJson(tasks), seenAt: now() };
      const { seenAt } = await db
        .insertInto("nodes")
        .values({ name, since: now(), ...changed })
        .onConflict((conflict) => conflict.column("name").doUpdateSet(changed))
        .returning("seenAt")
        .executeTakeFirstOrThrow();
      return seenAt;
    },

    async list() {
      const rows = await db
        .selectFrom("nodes")
        .selectAll()
        .select((row) => row(now(), "-", row.ref("seenAt")).as("silentMs"))
        .orderBy("name")
        .execute();
      return rows.map(({ lanes, tasks, ...row }) => ({
        ...row,
        lanes: fromJson(lanes),
        tasks: tasks && fromJson(tasks),
      }));
    },

    async now() {
      return (await db.selectNoFrom(now().as("now")).executeTakeFirstOrThrow()).now;
    },

    async remove(name) {
      await db.deleteFrom("nodes").where("name", "=", name).execute();
    },

    async removeSilent(silentMs) {
      await db
        .deleteFrom("nodes")
        .where((row) => row("seenAt", "<=", row(now(), "-", silentMs)))
        .execute();
    },
  };
}
