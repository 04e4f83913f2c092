import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ADA, fill, find } from "../support/crawling.ts";
import { openOffloading } from "../support/offloading.ts";
import { seededRandom } from "../support/random.ts";
import { until } from "../support/until.ts";

const RUN = join(import.meta.dirname, "../support/offload-run.ts");
const LEASE_MS = 1_000;
const MOST_KILLS = 4;

/** While others write: what vanishes while find looks is gone, whatever find says about it. */
const countBelow = (folder: string) =>
  spawnSync("find", [folder, "-type", "f", "-printf", "."], { encoding: "utf8" }).stdout.length;
const filesBelow = (folder: string) => find(folder).filter(({ type }) => type === "f");

for (const mode of ["copy", "move"] as const)
  test(`a ${mode} whose process is killed again and again ends with every file once`, async (t) => {
    const { base, path, offloads, jobs, work, ended } = await openOffloading(t, (stores) => stores, {
      leaseMs: LEASE_MS,
    });
    const random = seededRandom(t);
    const source = join(base, "scratch/run");
    const files = Object.fromEntries(
      Array.from({ length: 700 }, (_, n) => [`d${n % 30}/f${n}.bin`, String(n).repeat(random(2_000))]),
    );
    fill(source, files);
    const sizes = new Map(filesBelow(source).map(({ path: file, sizeBytes }) => [file, sizeBytes]));
    const { job: id, folder } = await offloads.start(ADA, { sources: [source], target: join(base, "shelf"), mode });
    const copies = fileURLToPath(folder);

    /** Rises with each file that is copied, and with each that is removed. */
    const progress = () => countBelow(join(base, "shelf")) - countBelow(source);
    let kills = 0;
    for (let isOver = false; kills < MOST_KILLS && !isOver; ) {
      const from = progress();
      const enough = 1 + random(mode === "move" ? 300 : 150);
      const child = spawn(process.execPath, [RUN, path, base, String(LEASE_MS)], {
        stdio: ["ignore", "inherit", "inherit"],
      });
      const exited = once(child, "exit");
      try {
        // Any moment is as good as another.
        await until("it goes on", () => progress() >= from + enough || child.exitCode !== null);
      } finally {
        child.kill("SIGKILL");
        await exited;
      }
      // At any time, each file is there whole, at one end at least.
      const here = new Map(filesBelow(source).map((one) => [one.path, one.sizeBytes]));
      const there = new Map(
        filesBelow(join(base, "shelf")).map((one) => [one.path.split("/").slice(1).join("/"), one.sizeBytes]),
      );
      for (const [file, sizeBytes] of sizes)
        assert.ok(here.get(file) === sizeBytes || (mode === "move" && there.get(file) === sizeBytes), file);
      const { state } = await jobs.get(id);
      t.diagnostic(`killed with ${there.size} of ${sizes.size} files there and ${here.size} here, ${state}`);
      isOver = state !== "running" && state !== "queued";
      if (!isOver) kills++;
    }
    assert.ok(kills > 0, "it was too fast to be killed");

    work();
    const job = await ended(id);
    assert.equal(job.state, "succeeded", job.error?.message);
    const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    assert.deepEqual([job.result.files, job.result.bytes], [sizes.size, bytes]);
    assert.deepEqual(
      filesBelow(copies)
        .map((one) => [one.path, one.sizeBytes])
        .toSorted(),
      [...sizes].toSorted(),
    );
    if (mode === "move")
      assert.deepEqual(
        find(source).map((one) => one.path),
        [""],
      );
  });
