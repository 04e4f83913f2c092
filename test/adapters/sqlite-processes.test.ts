import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openSqlite } from "../../src/adapters/db/stores.ts";
import { jobId } from "../../src/core/ids.ts";

const CLAIMER = fileURLToPath(new URL("./claimer.ts", import.meta.url));
const clock = { now: () => Date.now(), sleep: () => Promise.resolve() };

describe("several processes on one SQLite file", () => {
  let folder: string;
  let path: string;
  const children: ChildProcess[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "sqlite-processes-"));
    path = join(folder, "shared.db");
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
    await rm(folder, { recursive: true });
  });

  const claimer = (mode: "drain" | "hold") => {
    const child = spawn(process.execPath, [CLAIMER, mode, path], { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    return child;
  };
  const drained = async () => {
    const child = claimer("drain");
    const [printed, [exitCode]] = await Promise.all([text(child.stdout ?? []), once(child, "exit")]);
    assert.equal(exitCode, 0);
    return JSON.parse(printed) as number[];
  };
  const job = (id: number) => ({
    id: jobId(id),
    kind: "k",
    lane: "fast" as const,
    owner: "o",
    input: {},
    idempotencyKey: null,
    fedUntil: null,
    now: clock.now(),
  });

  test("processes that open a new file at the same moment all find it ready", async () => {
    assert.deepEqual(await Promise.all(Array.from({ length: 5 }, drained)), [[], [], [], [], []]);
  });

  test("processes that claim at the same time share the jobs between them, each exactly once", async () => {
    const stores = await openSqlite({ path, clock });
    for (let id = 1; id <= 150; id++) await stores.jobs.create(job(id));
    const shares = await Promise.all([drained(), drained(), drained()]);
    assert.deepEqual(
      shares.flat().sort((a, b) => a - b),
      Array.from({ length: 150 }, (_, i) => i + 1),
    );
    await stores.close();
  });

  test("what a killed process held is delivered to another within the lease, and what it had acknowledged is there", async () => {
    const stores = await openSqlite({ path, clock, leaseMs: 400 });
    await stores.jobs.create(job(1));
    const holder = claimer("hold");
    const [line] = await once(holder.stdout ?? holder, "data");
    assert.deepEqual(JSON.parse(String(line)), [1]);
    holder.kill("SIGKILL");
    await once(holder, "exit");
    const killedAt = Date.now();
    for (;;) {
      const [delivery] = await stores.queue.claim("heir", "fast", 1);
      if (delivery) break;
      assert.ok(Date.now() - killedAt < 5_000, "the lease of 400 ms runs out");
      await setTimeout(20);
    }
    assert.equal((await stores.jobs.get(jobId(1)))?.state, "queued");
    await stores.close();
  });
});
