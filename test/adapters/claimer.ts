import { openPostgres, openSqlite } from "../../src/adapters/db/stores.ts";

/**
 * A second process for the tests: opens a database and claims everything that waits in the fast lane.
 *
 *     node claimer.ts drain <file or URL>   ends each delivery and exits
 *     node claimer.ts hold <file or URL>    keeps the deliveries, without a heartbeat, until it is killed
 *
 * Prints one line of JSON with the ids. On SQLite a delivery that is kept is held for 400 ms.
 */
const [mode, where = ""] = process.argv.slice(2);
const clock = { now: () => Date.now(), sleep: () => Promise.resolve() };
const stores = where.startsWith("postgres://")
  ? await openPostgres({ url: where, clock })
  : await openSqlite({ path: where, clock, ...(mode === "hold" ? { leaseMs: 400 } : {}) });

const ids: number[] = [];
for (;;) {
  const deliveries = await stores.queue.claim(`process ${process.pid}`, "fast", 2);
  if (deliveries.length === 0) break;
  for (const delivery of deliveries) {
    ids.push(delivery.jobId);
    if (mode === "drain") await stores.queue.done(delivery);
  }
}
console.log(JSON.stringify(ids));
if (mode === "drain") await stores.close();
else setInterval(() => {}, 60_000);
