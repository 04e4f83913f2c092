import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { AppError } from "../../../src/core/errors.ts";
import { ADA, fill, find } from "../../support/crawling.ts";
import { movingClock } from "../../support/moving-clock.ts";
import { openOffloading, wrapped } from "../../support/offloading.ts";
import { seededRandom } from "../../support/random.ts";
import { until } from "../../support/until.ts";

/** Paths of files by sha256sum(1). */
function digestsBelow(folder: string): Readonly<Record<string, string>> {
  const text = execFileSync("bash", ["-c", "find . -type f -print0 | xargs -0r sha256sum -z"], {
    cwd: folder,
    encoding: "utf8",
  });
  const lines = text.split("\0").slice(0, -1);
  return Object.fromEntries(lines.map((line) => [line.slice(66), line.slice(0, 64)]));
}

const filesBelow = (folder: string) =>
  find(folder)
    .flatMap(({ type, path }) => (type === "f" ? [path] : []))
    .toSorted();

const TREE = { "a.txt": "a", "deep/er/b.txt": "bb", "deep/.hidden": "hidden", "empty.bin": "" };

describe("offload: copy", () => {
  for (const mode of ["copy", "move"] as const)
    test(`a ${mode} is what the source was, whatever lies there`, async (t) => {
      const { base, offload } = await openOffloading(t);
      const random = seededRandom(t);
      const source = join(base, "scratch/tree");
      mkdirSync(source);
      const names = ["a", "b c", "é", "日本", "'q'", "100%", "x\ny", "#?&", ".dot", "-n"];
      const files = new Set<string>();
      const folders = new Set<string>();
      for (let n = 0; n < 300; n++) {
        const parts = Array.from({ length: 1 + random(4) }, () => names[random(names.length)]);
        const above = parts.slice(1).map((_, at) => parts.slice(0, at + 1).join("/"));
        const path = parts.join("/");
        if (folders.has(path) || above.some((folder) => files.has(folder))) continue;
        files.add(path);
        for (const folder of above) folders.add(folder);
        fill(source, { [path]: "0123456789".repeat(random(3) * random(20_000)) });
      }
      const before = digestsBelow(source);
      const { job, folder } = await offload({ sources: [source], target: join(base, "shelf"), mode });
      assert.equal(job.state, "succeeded", job.error?.message);
      assert.deepEqual(digestsBelow(fileURLToPath(folder)), before);
      assert.equal(job.result.files, Object.keys(before).length);
      if (mode === "copy") assert.deepEqual(digestsBelow(source), before);
      else
        assert.deepEqual(
          find(source).map(({ path }) => path),
          [""],
        );
    });

  test("the folder is named for the time in UTC; several sources have folders of their own", async (t) => {
    const clock = movingClock(Date.UTC(2024, 1, 3, 4, 5, 6));
    const { base, offload } = await openOffloading(t, (stores) => stores, { clock });
    fill(base, { "crawl/run/a": "1", "scratch/run/a": "2", "scratch/Run/b": "3" });
    const sources = ["crawl/run", "scratch/run", "scratch/Run"].map((path) => join(base, path));
    const request = { sources, target: join(base, "shelf/x"), mode: "copy" } as const;
    const first = await offload(request);
    const second = await offload(request);
    assert.equal(first.folder, `file://${base}/shelf/x/2024-02-03-04.05.06`);
    assert.equal(second.folder, `file://${base}/shelf/x/2024-02-03-04.05.07`);
    assert.deepEqual(filesBelow(fileURLToPath(first.folder)), ["Run-3/b", "run-2/a", "run/a"]);
    assert.equal(readFileSync(join(base, "shelf/x/2024-02-03-04.05.06/run-2/a"), "utf8"), "2");
    assert.deepEqual(first.job.result, { folder: first.folder, files: 3, bytes: 3, others: 0 });
  });

  test("without a new folder, what is there stays: the same counts as copied, anything else is a problem", async (t) => {
    const { base, offload } = await openOffloading(t);
    fill(base, { "crawl/same": "same", "crawl/other": "ours", "crawl/new": "new", "crawl/in/file": "behind" });
    fill(base, { "shelf/same": "same", "shelf/other": "theirs", "scratch/x": "x" });
    symlinkSync(join(base, "scratch"), join(base, "shelf/in"));
    const { job } = await offload({
      sources: [join(base, "crawl")],
      target: join(base, "shelf"),
      mode: "copy",
      inNewFolder: false,
    });
    assert.deepEqual([job.state, job.error?.code], ["failed", "offload_incomplete"]);
    assert.deepEqual([job.error?.details.files, job.error?.details.problems], [2, 2]);
    assert.deepEqual(job.warnings.map(({ code, path }) => `${code}: ${path}`).toSorted(), [
      "endpoint_refused: in/file",
      "target_occupied: other",
    ]);
    assert.equal(readFileSync(join(base, "shelf/other"), "utf8"), "theirs");
    assert.equal(readFileSync(join(base, "shelf/new"), "utf8"), "new");
  });

  test("links and pipes are told, and stay where they are", async (t) => {
    const { base, offload } = await openOffloading(t);
    fill(base, { "scratch/run/a": "a" });
    symlinkSync("a", join(base, "scratch/run/link"));
    const { job, folder } = await offload({
      sources: [join(base, "scratch/run")],
      target: join(base, "shelf"),
      mode: "move",
    });
    assert.equal(job.state, "succeeded", job.error?.message);
    assert.deepEqual([job.result.files, job.result.others], [1, 1]);
    assert.deepEqual(
      job.warnings.map(({ code, path }) => [code, path]),
      [["entry_unreadable", "link"]],
    );
    assert.deepEqual(
      find(join(base, "scratch/run")).map(({ path }) => path),
      ["", "link"],
    );
    assert.deepEqual(filesBelow(fileURLToPath(folder)), ["a"]);
  });
});

describe("offload: what goes wrong", () => {
  test("a target that gives back other bytes proves nothing: the source stays, and the copy does not", async (t) => {
    const { base, offload } = await openOffloading(t, (stores) =>
      wrapped(stores, {
        target: (target, use) => ({
          ...target,
          async facts(path, signal) {
            const found = await target.facts(path, signal);
            const isLie = use === "write" && found && path.endsWith("/deep/er/b.txt");
            return isLie ? { ...found, digests: { sha256: "0".repeat(64) } } : found;
          },
        }),
      }),
    );
    fill(join(base, "scratch/run"), TREE);
    const { job, folder } = await offload({
      sources: [join(base, "scratch/run")],
      target: join(base, "shelf"),
      mode: "move",
    });
    assert.deepEqual([job.state, job.error?.code], ["failed", "offload_incomplete"]);
    assert.deepEqual(
      job.warnings.map(({ code, path }) => [code, path]),
      [["copy_mismatch", "deep/er/b.txt"]],
    );
    assert.deepEqual(filesBelow(join(base, "scratch/run")), ["deep/er/b.txt"]);
    assert.deepEqual(filesBelow(fileURLToPath(folder)), ["a.txt", "deep/.hidden", "empty.bin"]);
  });

  test("a file that changes after it was read stays, and one that grows while it is listed is no copy", async (t) => {
    const { base, offload } = await openOffloading(t, (stores) =>
      wrapped(stores, {
        source: (source) => ({
          ...source,
          async *walk(options) {
            for await (const listing of source.walk(options)) {
              if (listing.folder === "") appendFileSync(join(base, "scratch/run/grows"), "more");
              yield listing;
            }
          },
        }),
        target: (target, use) => ({
          ...target,
          async facts(path, signal) {
            const found = await target.facts(path, signal);
            if (use === "write" && found && path.endsWith("/a.txt"))
              writeFileSync(join(base, "scratch/run/a.txt"), "A");
            return found;
          },
        }),
      }),
    );
    fill(join(base, "scratch/run"), { ...TREE, grows: "some" });
    const { job, folder } = await offload({
      sources: [join(base, "scratch/run")],
      target: join(base, "shelf"),
      mode: "move",
    });
    assert.deepEqual([job.state, job.error?.code], ["failed", "offload_incomplete"]);
    assert.deepEqual(job.warnings.map(({ code, path }) => `${code} ${path}`).toSorted(), [
      "source_changed a.txt",
      "source_changed grows",
    ]);
    assert.deepEqual(filesBelow(join(base, "scratch/run")), ["a.txt", "grows"]);
    assert.equal(existsSync(join(fileURLToPath(folder), "grows")), false);
  });

  test("a file that cannot be read is a problem, and the others go on", async (t) => {
    const { base, offload } = await openOffloading(t, (stores) =>
      wrapped(stores, {
        source: (source) => ({
          ...source,
          open: (path, range) =>
            path === "a.txt" ? Promise.reject(new AppError("object_missing", { path })) : source.open(path, range),
        }),
      }),
    );
    fill(join(base, "crawl"), TREE);
    const { job } = await offload({ sources: [join(base, "crawl")], target: join(base, "shelf"), mode: "copy" });
    assert.equal(job.error?.code, "offload_incomplete");
    assert.equal(job.error?.details.files, 3);
    assert.deepEqual(
      job.warnings.map(({ code, path }) => [code, path]),
      [["object_missing", "a.txt"]],
    );
  });

  test("on a full disk nothing is removed; with room again, it goes on and counts each file once", async (t) => {
    let puts = 0;
    const { base, offload } = await openOffloading(t, (stores) =>
      wrapped(stores, {
        target: (target, use) => ({
          ...target,
          async put(path, bytes, signal) {
            if (use === "write" && ++puts === 2) {
              assert.equal(filesBelow(join(base, "scratch/run")).length, 4);
              throw new AppError("storage_full", { path });
            }
            return target.put(path, bytes, signal);
          },
        }),
      }),
    );
    fill(join(base, "scratch/run"), TREE);
    const { job } = await offload({ sources: [join(base, "scratch/run")], target: join(base, "shelf"), mode: "move" });
    assert.equal(job.state, "succeeded", job.error?.message);
    assert.deepEqual([job.attempts, job.result.files, job.result.bytes], [2, 4, 9]);
    assert.deepEqual(filesBelow(join(base, "scratch/run")), []);
  });

  test("what was removed before a move broke off is counted, and what was not is removed, folders too", async (t) => {
    let isBroken = false;
    const { base, offload } = await openOffloading(t, (stores) =>
      wrapped(stores, {
        target: (target) => ({
          ...target,
          async remove(path) {
            if (path !== "deep/er/b.txt" || isBroken) return target.remove(path);
            isBroken = true;
            // The file is gone, its folder not yet.
            rmSync(join(base, "scratch/run", path));
            throw new AppError("storage_unavailable", { path });
          },
        }),
      }),
    );
    fill(join(base, "scratch/run"), TREE);
    const { job, folder } = await offload({
      sources: [join(base, "scratch/run")],
      target: join(base, "shelf"),
      mode: "move",
    });
    assert.equal(job.state, "succeeded", job.error?.message);
    assert.deepEqual([job.attempts, job.result.files, job.result.bytes], [2, 4, 9]);
    assert.deepEqual(
      find(join(base, "scratch/run")).map(({ path }) => path),
      [""],
    );
    assert.equal(filesBelow(fileURLToPath(folder)).length, 4);
  });

  test("a move that breaks off twice counts each file once, in whatever order they are listed", async (t) => {
    let removes = 0;
    let walks = 0;
    const { base, offload } = await openOffloading(t, (stores) =>
      wrapped(stores, {
        source: (source) => ({
          ...source,
          async *walk(options) {
            const isBackwards = walks++ % 2 === 1;
            for await (const listing of source.walk(options)) {
              const entries = listing.entries.toSorted((a, b) => a.path.localeCompare(b.path));
              yield { ...listing, entries: isBackwards ? entries.reverse() : entries };
            }
          },
        }),
        target: (target) => ({
          ...target,
          async remove(path) {
            removes++;
            if (removes === 100 || removes === 200) throw new AppError("storage_unavailable", { path });
            await target.remove(path);
          },
        }),
      }),
    );
    // More than two windows.
    fill(join(base, "scratch/run"), Object.fromEntries(Array.from({ length: 600 }, (_, n) => [`f${n}`, "x"])));
    const { job } = await offload({ sources: [join(base, "scratch/run")], target: join(base, "shelf"), mode: "move" });
    assert.equal(job.state, "succeeded", job.error?.message);
    assert.deepEqual([job.attempts, job.result.files, job.result.bytes], [3, 600, 600]);
    assert.deepEqual(filesBelow(join(base, "scratch/run")), []);
  });

  for (const end of ["its time is over", "it is cancelled"] as const)
    test(`a move stops when ${end}, and removes nothing that has no proven copy`, async (t) => {
      const clock = movingClock();
      const stuck = Promise.withResolvers<void>();
      const { base, offloads, jobs, work, ended } = await openOffloading(
        t,
        (stores) =>
          wrapped(stores, {
            target: (target) => ({
              ...target,
              put: (path, bytes, signal) =>
                !path.endsWith("/deep/er/b.txt")
                  ? target.put(path, bytes, signal)
                  : new Promise((_, reject) => {
                      signal.addEventListener("abort", () => reject(signal.reason));
                      stuck.resolve();
                    }),
            }),
          }),
        { clock },
      );
      fill(join(base, "scratch/run"), TREE);
      const { job: id } = await offloads.start(ADA, {
        sources: [join(base, "scratch/run")],
        target: join(base, "shelf"),
        mode: "move",
        timeoutMs: 60_000,
      });
      const worker = work();
      await stuck.promise;
      if (end === "it is cancelled") await jobs.cancel(id, "ada");
      else clock.pass(60_000);
      const job = await ended(id);
      await worker.stop();
      const isLate = end === "its time is over";
      assert.equal(job.state, isLate ? "failed" : "cancelled");
      assert.equal(job.error?.code, isLate ? "offload_timeout" : "job_cancelled");
      assert.equal(filesBelow(join(base, "scratch/run")).length, 4);
      await until(
        "nothing is left of what was begun",
        () => !filesBelow(join(base, "shelf")).some((path) => path.includes("incoming")),
      );
      if (isLate) await assert.rejects(jobs.retry(id, "ada"), { code: "job_state_conflict" });
    });
});
