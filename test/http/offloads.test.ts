import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Longshore, LongshoreError, longshore } from "../../src/sdk/index.ts";
import { fill } from "../support/crawling.ts";
import { type ServerProcess, startServer } from "../support/server.ts";

describe("offloads over HTTP", { timeout: 120_000 }, () => {
  let server: ServerProcess;
  let client: Longshore;
  let base: string;
  before(async () => {
    base = await realpath(await mkdtemp(join(tmpdir(), "longshore-offloads-")));
    fill(base, { "scratch/run/a.txt": "a", "scratch/run/deep/b.txt": "b", "elsewhere/c.txt": "c" });
    server = await startServer({
      env: { LONGSHORE_CRAWL_ROOTS: join(base, "scratch"), LONGSHORE_MOVE_ROOTS: join(base, "scratch") },
    });
    client = longshore({ url: server.url });
  });
  after(async () => {
    await server.stop();
    await rm(base, { recursive: true });
  });

  test("a move through the SDK: the files are in the new folder, and gone where they were", async () => {
    const target = join(server.dataDir, "records/shelf");
    const { job: id, folder } = await client.offloads.start({
      sources: [join(base, "scratch/run")],
      target,
      mode: "move",
      timeoutMs: 60_000,
    });
    assert.match(folder, /records\/shelf\/\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d$/);
    const job = await client.jobs.wait(id);
    assert.deepEqual(
      [job.kind, job.state, job.result],
      ["offload", "succeeded", { folder, files: 2, bytes: 2, others: 0 }],
    );
    const found = execFileSync("find", [".", "-type", "f"], { cwd: fileURLToPath(folder), encoding: "utf8" });
    assert.deepEqual(found.split("\n").toSorted(), ["", "./a.txt", "./deep/b.txt"]);
    assert.equal(existsSync(join(base, "scratch/run/deep")), false);
  });

  test("what settings do not open is refused, and so is what makes no sense", async () => {
    const start = (source: string, target: string) =>
      client.offloads.start({ sources: [join(base, source)], target, mode: "copy" });
    const records = join(server.dataDir, "records");
    const isRefused = (error: unknown) => error instanceof LongshoreError && error.code === "endpoint_refused";
    await assert.rejects(start("elsewhere", records), isRefused);
    await assert.rejects(start("scratch", join(base, "elsewhere")), isRefused);
    await assert.rejects(
      client.offloads.start({ sources: [], target: records }),
      (error) => error instanceof LongshoreError && error.code === "request_invalid",
    );
  });
});
