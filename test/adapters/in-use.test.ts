import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isPostgresInUse, isSqliteInUse } from "../../src/adapters/db/in-use.ts";
import { openPostgres, openSqlite } from "../../src/adapters/db/stores.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { startPostgres } from "../support/postgres.ts";

const STORES = new URL("../../src/adapters/db/stores.ts", import.meta.url);

test("a SQLite file is in use while any process has it open, also an idle or killed one's until it is gone", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "longshore-in-use-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "longshore.sqlite");
  assert.equal(isSqliteInUse(path), false, "there is none");

  const program = `
    const { openSqlite } = await import(${JSON.stringify(STORES)});
    await openSqlite({ path: ${JSON.stringify(path)}, clock: { now: Date.now, sleep: async () => {} } });
    console.log("open");
    setInterval(() => {}, 60_000);`;
  const other = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(other.stdout, "data");
  assert.equal(isSqliteInUse(path), true);
  other.kill("SIGKILL");
  await once(other, "exit");
  assert.equal(isSqliteInUse(path), false);

  const stores = await openSqlite({ path, clock: systemClock });
  assert.equal(isSqliteInUse(path), true);
  await stores.ping();
  await stores.close();
  assert.equal(isSqliteInUse(path), false);
});

test("duties that a killed process had in an SQLite file are free at once, those of a living one are not", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "longshore-in-use-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "longshore.sqlite");
  const program = `
    const { openSqlite } = await import(${JSON.stringify(STORES)});
    const clock = { now: Date.now, sleep: async () => {} };
    const { leases } = await openSqlite({ path: ${JSON.stringify(path)}, clock });
    await leases.take("scheduler", "other", 3_600_000);
    console.log("taken");
    setInterval(() => {}, 60_000);`;
  const other = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(other.stdout, "data");
  const beside = await openSqlite({ path, clock: systemClock });
  assert.equal(await beside.leases.take("scheduler", "this one", 1_000), false);
  await beside.close();
  other.kill("SIGKILL");
  await once(other, "exit");
  const next = await openSqlite({ path, clock: systemClock });
  assert.equal(await next.leases.take("scheduler", "this one", 1_000), true);
  await next.close();
});

test("a PostgreSQL database is in use while a Longshore is connected to it", async (t) => {
  const postgres = await startPostgres();
  t.after(() => postgres.stop());
  const [url, another] = [await postgres.freshDatabase(), await postgres.freshDatabase()];
  assert.equal(await isPostgresInUse(url), false);
  const stores = await openPostgres({ url, clock: systemClock });
  assert.deepEqual([await isPostgresInUse(url), await isPostgresInUse(another)], [true, false]);
  await stores.close();
  assert.equal(await isPostgresInUse(url), false);
});
