import assert from "node:assert/strict";
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { deposit, finished, json, problem, type WireJob } from "../http/client.ts";
import { bundleTar } from "../support/bundles.ts";
import { lookInto } from "../support/data-folder.ts";
import { type ServerProcess, startServer } from "../support/server.ts";
import { smallDisk } from "../support/small-disk.ts";
import { until } from "../support/until.ts";

/** A real disk of this size, in memory. */
const DISK_MIB = 64;
const MIB = 1024 ** 2;
const { folder: disk, skip } = smallDisk(DISK_MIB);

describe("a server whose disk is full", { skip }, () => {
  const filler = join(disk, "filler");
  let server: ServerProcess;
  before(async () => {
    server = await startServer({ dataDir: join(disk, "data") });
    await honest(1);
  });
  after(() => server.stop());

  const freeBytes = () => {
    const { bavail, bsize } = statfsSync(disk);
    return bavail * bsize;
  };
  /** Leaves so much of the disk. The server goes on with its upkeep meanwhile, and may take room between look and write. */
  function fill(leftBytes: number): void {
    for (let tries = 1; ; tries++) {
      rmSync(filler, { force: true });
      try {
        writeFileSync(filler, Buffer.alloc(Math.max(0, freeBytes() - leftBytes)));
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC" || tries === 20) throw error;
      }
    }
  }
  async function send(sizeBytes: number): Promise<Response> {
    const body = new Uint8Array(await bundleTar({ "data/big.bin": Buffer.alloc(sizeBytes, 7) }));
    const headers = { "content-type": "application/x-tar" };
    return fetch(`${server.url}/api/v1/bundles`, { method: "POST", body, headers });
  }

  async function honest(content: number): Promise<void> {
    const { id } = await deposit(
      server,
      new Uint8Array(await bundleTar({ "data/a.bin": Buffer.alloc(4 * MIB, content) })),
    );
    const job = await finished(server, id);
    assert.deepEqual([job.state, job.error], ["succeeded", null]);
  }

  /** Sends a bundle for which there is no room. */
  async function refused(sizeBytes: number): Promise<void> {
    const earlier = lookInto(server.dataDir);
    const response = await send(sizeBytes);
    const retryAfter = response.headers.get("retry-after");
    const { details } = await problem(response, 503, "storage_full");
    assert.equal(retryAfter, "5");
    const job = await finished(server, Number(details.jobId));
    assert.deepEqual([job.state, job.error?.code], ["failed", "storage_full"]);
    assert.deepEqual(lookInto(server.dataDir), earlier);
  }

  test("answers 503 to an upload that does not fit, and keeps nothing of it", async () => {
    fill(8 * MIB);
    await refused(24 * MIB);
    await until("what was refused is gone", () => freeBytes() > 6 * MIB);
    process.kill(server.pid, 0);
    await json(`${server.url}/healthz`);
  });

  test("answers 503 also when there is not one byte left", async () => {
    fill(0);
    const earlier = lookInto(server.dataDir);
    for (const sizeBytes of [0, 4 * MIB]) await problem(await send(sizeBytes), 503, "storage_full");
    assert.deepEqual(lookInto(server.dataDir), earlier);
    const health = await fetch(`${server.url}/healthz`);
    const { ok, checks } = (await health.json()) as { ok: boolean; checks: Record<string, { ok: boolean }> };
    assert.deepEqual(
      [health.status, ok, checks.database?.ok, checks.storage?.ok, checks.data?.ok],
      [503, false, true, false, false],
    );
  });

  test("keeps its word at whichever write the room ends: what it took is archived, what it refused is gone", async (t) => {
    const { objects, others } = lookInto(server.dataDir);
    const taken: number[] = [];
    let refused = 0;
    for (let pages = 0; pages <= 40; pages += 2) {
      fill(pages * 4096);
      const response = await send(20_000);
      if (response.status === 202) taken.push(((await response.json()) as WireJob).id);
      else {
        await problem(response, 503, "storage_full");
        refused++;
      }
    }
    rmSync(filler);
    t.diagnostic(`${taken.length} taken, ${refused} refused`);
    assert.ok(taken.length > 0 && refused > 0);

    // One that could not even be noted as failed is found silent after half a minute, and others wait for another try.
    const { items } = await json<{ readonly items: readonly WireJob[] }>(`${server.url}/api/v1/jobs?limit=1000`);
    const jobs = await Promise.all(items.map(({ id }) => finished(server, id)));
    const succeeded = jobs.filter(({ state }) => state === "succeeded");
    assert.deepEqual(
      taken.filter((id) => !succeeded.some((job) => job.id === id)),
      [],
    );
    const all = new Set([...objects, ...succeeded.map(({ result }) => String(result?.objectPath))]);
    await until("nothing is staged", () => lookInto(server.dataDir).staged.length === 0);
    assert.deepEqual(lookInto(server.dataDir), { objects: [...all].sort(), others, staged: [] });
    assert.equal(succeeded.length, taken.length + 1, "beside them only the first");
  });

  test("takes everything again once there is room", () => honest(2));
});
