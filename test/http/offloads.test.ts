import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Longshore, LongshoreError, longshore } from "../../src/sdk/index.ts";
import { fill } from "../support/crawling.ts";
import { startGlobusServer } from "../support/globus-server.ts";
import { type ServerProcess, startServer } from "../support/server.ts";

describe("offloads over HTTP", () => {
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

test("a server whose settings name Globus crawls a collection, and offloads between two", async (t) => {
  const base = await realpath(await mkdtemp(join(tmpdir(), "longshore-globus-")));
  fill(base, { "lab/run/a.txt": "a", "lab/run/deep/b.txt": "b", "shelf/.keep": "", "own/.keep": "" });
  const [lab, shelf, own] = ["1", "2", "3"].map((digit) => `${digit.repeat(8)}-6d04-11e5-ba46-22000b92c6ec`);
  const globus = await startGlobusServer({
    [`${lab}`]: join(base, "lab"),
    [`${shelf}`]: join(base, "shelf"),
    [`${own}`]: join(base, "own"),
  });
  const server = await startServer({
    dataDir: join(base, "own/data"),
    env: {
      LONGSHORE_GLOBUS_URL: globus.url,
      LONGSHORE_GLOBUS_TOKEN: globus.token,
      LONGSHORE_GLOBUS_COLLECTION: `${own}`,
      LONGSHORE_GLOBUS_FOLDER: join(base, "own"),
      LONGSHORE_OFFLOAD_STORES: `globus://${shelf}/in,globus://${lab}`,
    },
  });
  t.after(async () => {
    await server.stop();
    await globus.close();
    await rm(base, { recursive: true });
  });
  const client = longshore({ url: server.url });
  const { id } = await client.crawls.start({ endpoints: [{ url: `globus://${lab}/run` }], extract: {} });
  const crawl = await client.crawls.wait(id);
  assert.deepEqual([crawl.status, crawl.counts.files], ["complete", 2]);
  const [extraction] = crawl.extractions;
  assert.ok(extraction);
  const { counts } = await client.extractions.wait(extraction.id);
  assert.deepEqual([counts.failed, counts.pending, counts.success > 0], [0, 0, true]);

  const here = await client.offloads.start({
    sources: [`globus://${lab}/run`],
    target: join(server.dataDir, "records"),
  });
  assert.equal((await client.jobs.wait(here.job)).state, "succeeded");
  assert.equal(readFileSync(join(fileURLToPath(here.folder), "deep/b.txt"), "utf8"), "b");
  const there = await client.offloads.start({
    sources: [`globus://${lab}/run`],
    target: `globus://${shelf}/in`,
    mode: "move",
  });
  assert.equal((await client.jobs.wait(there.job)).state, "succeeded");
  assert.equal(readFileSync(join(base, "shelf", new URL(there.folder).pathname, "a.txt"), "utf8"), "a");
  assert.equal(existsSync(join(base, "lab/run/a.txt")), false);
});
