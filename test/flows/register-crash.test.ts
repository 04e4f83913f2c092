import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openSqlite } from "../../src/adapters/db/stores.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { Principal } from "../../src/core/access/access.ts";
import { jobId } from "../../src/core/ids.ts";
import { declaredRegisters } from "../../src/core/registers/declared-registers.ts";
import { registerService } from "../../src/core/registers/registers.ts";
import { tidyRegisters } from "../../src/core/registers/tidy-registers.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";

const WORKER = join(import.meta.dirname, "../support/register-worker.ts");
const ENTRIES = 10_000;
const WORKERS = 8;
const KILLS = 6;
const OPS: Principal = { name: "ops", scopes: ["admin"], via: "local" };

const WORK = {
  name: "work",
  title: "Work",
  fields: { n: { type: "integer" } },
  statuses: {
    Requested: { next: { Taken: ["operate"] } },
    // Longer than any worker needs that lives: what a dead one has taken is to be had again.
    Taken: { next: { Done: ["operate"] }, expires: { after: "10s", to: "Requested" } },
    Done: {},
  },
  initial: "Requested",
};

test(`${ENTRIES} entries are moved by ${WORKERS} workers that are killed, each exactly once in effect`, async (t) => {
  // Where there is memory for it: a disk would be waited for 20,000 times. What is killed are processes, not the machine.
  const folder = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "register-crash-"));
  const path = join(folder, "shared.db");
  const done = join(folder, "done");
  await mkdir(done);
  const stores = await openSqlite({ path, clock: systemClock });
  const children = new Map<number, ChildProcess>();
  t.after(async () => {
    for (const child of children.values()) child.kill("SIGKILL");
    await stores.close();
    await rm(folder, { recursive: true, maxRetries: 3 });
  });
  const random = seededRandom(t);
  const parts = {
    store: stores.registers,
    declared: declaredRegisters({ store: stores.registers, clock: systemClock }),
    jobs: { cancel: () => Promise.reject(new Error("There are no jobs here.")) },
    clock: systemClock,
    mailFrom: "",
    nextJobId: async () => jobId(1),
  };
  const registers = registerService(parts);
  await registers.declare(JSON.stringify(WORK));
  const made = await registers.import(
    OPS,
    "work",
    JSON.stringify(Array.from({ length: ENTRIES }, (_, n) => ({ n }))),
    "json",
  );
  assert.equal(made.length, ENTRIES);

  let failed: string | undefined;
  function start(own: number): void {
    const child = spawn(process.execPath, [WORKER, path, done, "work", String(own), String(WORKERS)], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    children.set(own, child);
    child.once("exit", (code, signal) => {
      if (code !== 0 && signal === null) failed ??= `worker ${own} ended with ${code}`;
    });
  }
  for (let own = 0; own < WORKERS; own++) start(own);

  const countDone = async () => (await registers.counts(OPS, "work")).Done ?? 0;
  for (let kills = 0; kills < KILLS; kills++) {
    // Any moment is as good as another.
    const enough = (await countDone()) + 200 + random(1_000);
    await until("they go on", async () => failed !== undefined || (await countDone()) >= enough);
    assert.equal(failed, undefined);
    const own = random(WORKERS);
    const child = children.get(own);
    if (!child) continue;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    start(own);
  }
  await until(
    "all are done",
    async () => {
      await tidyRegisters(parts, new AbortController().signal);
      return failed !== undefined || (await countDone()) === ENTRIES;
    },
    300_000,
  );
  assert.equal(failed, undefined);
  await Promise.all([...children.values()].map((child) => child.exitCode !== null || once(child, "exit")));
  children.clear();

  const files = await readdir(done);
  const again = files.filter((name) => name.includes(" "));
  assert.equal(files.length - again.length, ENTRIES, "each has been done");
  // Done again is only what a worker did without being able to say so: one at a time.
  assert.ok(again.length <= KILLS, `${again.length} were done again`);
  t.diagnostic(`${again.length} of ${KILLS} kills fell between the work and saying so`);
  let doubled = 0;
  for (const { id } of made) {
    const events = await registers.history(OPS, "work", id, 0, 100);
    if (events.filter(({ to }) => to === "Done").length !== 1) doubled++;
  }
  assert.equal(doubled, 0, "each has come to Done once");
});
