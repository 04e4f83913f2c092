import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { endingWithParent } from "../../src/adapters/sandbox/confinement.ts";
import { openExtracting } from "../support/extracting.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";

const WORKER = fileURLToPath(new URL("../support/extract-worker.ts", import.meta.url));
const FILES = 4_000;
const KILLS = 4;
const LIMIT_MS = 120_000;

test("however often workers are killed, each group has one record of each extractor, and one file of records", async (t) => {
  const random = seededRandom(t);
  const folder = await realpath(await mkdtemp(join(tmpdir(), "longshore-extract-crash-")));
  t.after(() => rm(folder, { recursive: true }));
  const { write, crawled, worker, extractions, stores, allRecords, records, close } = await openExtracting({ folder });
  t.after(close);
  const working: ChildProcess[] = [];
  t.after(() => working.map((one) => one.kill("SIGKILL")));

  const content = (i: number) => (i % 5 === 0 ? "not json\n" : `{"n":${i}}`);
  await write(Object.fromEntries(Array.from({ length: FILES }, (_, i) => [`${i % 12}/${i}.json`, content(i)])));
  const crawling = worker();
  const crawl = await crawled();
  await crawling.stop();
  const request = { extractors: ["generic", "json"], recordsFolder: records };
  const { id } = await extractions.start({ name: "ada", scopes: [], via: "token" }, crawl.id, request);
  const now = async () => {
    const extraction = await stores.extractions.get(id);
    assert.ok(extraction);
    return extraction;
  };

  let kept = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const before = (await now()).counts;
    const child = spawn(process.execPath, [WORKER, folder], { stdio: "inherit" });
    working.push(child);
    // Every other one has kept a window, and is killed in a later one or at its end.
    const counted = kill % 2 === 0 ? "pending" : "success";
    await until(`its ${counted} changes`, async () => (await now()).counts[counted] !== before[counted], LIMIT_MS);
    // The moment is the test's: nothing is waited for.
    await setTimeout(random(500));
    child.kill("SIGKILL");
    await once(child, "exit");
    const { counts } = await now();
    assert.equal(counts.toSchedule, counts.success + counts.failed + counts.pending + counts.unknown);
    kept += Number(counts.success > before.success);
    if ((await endingWithParent()).length > 0)
      await until("its extractors have ended with it", () => spawnSync("pgrep", ["-f", folder]).status === 1, LIMIT_MS);
  }
  t.diagnostic(`${kept} of ${KILLS} workers had kept something when they were killed`);
  assert.ok(kept > 0 && (await now()).status === "extracting", "the kills came too late, or too soon");

  worker();
  await until("it is complete", async () => (await now()).status === "complete", LIMIT_MS);
  const { counts } = await now();
  assert.deepEqual([counts.pulled, counts.pending], [FILES, 0]);
  const all = await allRecords({ ...(await now()) });
  assert.equal(all.length, counts.success + counts.failed);
  assert.deepEqual(
    all.map(({ number }) => number),
    all.map((_, at) => at + 1),
  );
  // Each file is one group; "json" takes by content what is JSON, and by its ending what is not.
  const told = new Set(all.map(({ files, extractor }) => `${files[0]?.path} ${extractor}`));
  assert.equal(told.size, 2 * FILES);
  assert.equal(all.length, 2 * FILES);

  const written = (await readdir(records)).filter((name) => name.endsWith(".json"));
  assert.deepEqual(written.toSorted(), [...new Set(all.map(({ family }) => `${family}.json`))].toSorted());
  assert.equal(
    spawnSync("sha256sum", ["--check", "--quiet", `manifest-${crawl.id}.sha256`], { cwd: records }).status,
    0,
  );
  const manifest = await readFile(join(records, `manifest-${crawl.id}.sha256`), "utf8");
  assert.equal(manifest.trimEnd().split("\n").length, FILES);
});
