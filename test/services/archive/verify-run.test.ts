import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { memoryObjectStorage } from "../../../src/adapters/storage/memory.ts";
import { systemClock } from "../../../src/adapters/system-clock.ts";
import { ocflArchive } from "../../../src/core/archive/archive.ts";
import { verifyArchive } from "../../../src/core/archive/verify.ts";
import { verifyJob } from "../../../src/core/archive/verify-job.ts";
import type { Clock } from "../../../src/core/clock.ts";
import { jobId, transactionId } from "../../../src/core/ids.ts";
import type { Job } from "../../../src/core/jobs/job.ts";
import { type Jobs, jobService } from "../../../src/core/jobs/jobs.ts";
import { startWorker } from "../../../src/core/jobs/worker.ts";
import { type TestArchive, testArchive } from "../../support/archive.ts";
import { seededRandom } from "../../support/random.ts";
import { until } from "../../support/until.ts";

const OBJECTS = 6;
const BIG_BYTES = 2_000_000;

describe("a verification", () => {
  let original: TestArchive;

  before(async () => {
    original = await testArchive({ LONGSHORE_DIGEST: "sha256" });
    for (let n = 1; n <= OBJECTS; n++)
      await original.deposit({ "a.txt": `${n}\n`, "deep/er/b.txt": "same\n", "big.bin": Buffer.alloc(BIG_BYTES, n) });
  });
  after(() => original.close());

  const paths = (lab: TestArchive) => Array.from({ length: OBJECTS }, (_, i) => lab.nameOf(i + 1)).sort();
  const isObject = ({ kind }: { readonly kind: string }) => kind === "object";
  const never = new AbortController().signal;
  const partsOf = (lab: TestArchive, clock: Clock = systemClock) => ({
    archive: lab.archive,
    catalogue: lab.stores.catalogue,
    jobs: lab.stores.jobs,
    clock,
  });

  test("yields objects in the order of the walk, and begins behind any of them", async () => {
    const all = (await original.verify()).checked.filter(isObject).map(({ path }) => path);
    assert.deepEqual(all, paths(original));
    for (const [at, path] of all.entries()) {
      const rest = (await original.verify({ after: path })).checked.filter(isObject).map((checked) => checked.path);
      assert.deepEqual(rest, all.slice(at + 1));
    }
  });

  test("finds the same however many files it reads at a time", async () => {
    const lab = await original.copy();
    for (let n = 1; n <= OBJECTS; n++) writeFileSync(lab.fileOf(n, "v1/content/data/a.txt"), `${n + 1}\n`);
    const one = await lab.verify({ parallel: 1 });
    assert.equal(one.problems.length, OBJECTS);
    assert.deepEqual(await lab.verify({ parallel: 16 }), one);
  });

  test("reads every byte once", async () => {
    let readBytes = 0;
    await original.verify({ onRead: (bytes) => (readBytes += bytes) });
    const onDisk = (folder: string): number =>
      readdirSync(folder, { withFileTypes: true }).reduce(
        (sum, entry) =>
          sum + (entry.isDirectory() ? onDisk(join(folder, entry.name)) : statSync(join(folder, entry.name)).size),
        0,
      );
    const objects = Array.from({ length: OBJECTS }, (_, i) => onDisk(original.fileOf(i + 1)));
    assert.equal(
      readBytes,
      objects.reduce((a, b) => a + b),
    );
  });

  test("that is quick reads no content and still sees sizes", async () => {
    const lab = await original.copy();
    writeFileSync(lab.fileOf(1, "v1/content/data/a.txt"), "?\n");
    truncateSync(lab.fileOf(2, "v1/content/data/a.txt"));
    let readBytes = 0;
    const { problems } = await lab.verify({ quick: true, onRead: (bytes) => (readBytes += bytes) });
    assert.deepEqual(problems, [
      { code: "object_corrupt", path: lab.nameOf(2, "v1/content/data/a.txt"), expected: "2 bytes", found: "0 bytes" },
    ]);
    assert.ok(readBytes < BIG_BYTES / 2, `read ${readBytes} bytes`);
  });

  test("that is throttled takes the time its bytes are allowed", async () => {
    let sleptMs = 0;
    const clock: Clock = {
      now: () => sleptMs,
      async sleep(ms) {
        sleptMs += ms;
      },
    };
    let readBytes = 0;
    const options = { signal: never, bytesPerSecond: 1_000_000, onRead: (bytes: number) => (readBytes += bytes) };
    await Array.fromAsync(verifyArchive(partsOf(original, clock), options));
    const expectedMs = readBytes / 1000;
    assert.ok(Math.abs(sleptMs - expectedMs) < 50, `slept ${sleptMs} ms for ${readBytes} bytes`);
  });

  test("stops when it is told to, in the middle of a file", async () => {
    const abort = new AbortController();
    const told = new Error("enough");
    const onRead = (bytes: number) => bytes > BIG_BYTES / 4 && abort.abort(told);
    await assert.rejects(Array.fromAsync(verifyArchive(partsOf(original), { signal: abort.signal, onRead })), told);
  });

  test("works on storage that knows nothing but files", async () => {
    const storage = memoryObjectStorage();
    for await (const { path } of original.storage.list(""))
      await storage.put(path, readFileSync(join(original.archiveDir, path)));
    assert.deepEqual((await original.verify({ archive: ocflArchive(storage, "sha256") })).problems, []);
    await storage.remove(join(original.nameOf(3), "v1/content/data/a.txt"));
    assert.deepEqual((await original.verify({ archive: ocflArchive(storage, "sha256") })).problems, [
      { code: "object_missing", path: original.nameOf(3, "v1/content/data/a.txt") },
    ]);
  });

  test("notices any single change to any file of an object, and survives it", async (t) => {
    const random = seededRandom(t);
    const lab = await original.copy();
    const files = readdirSync(lab.fileOf(1), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    for (let round = 0; round < 100; round++) {
      const file = files[random(files.length)] ?? "";
      const before = readFileSync(file);
      const at = random(before.length);
      const harms: Readonly<Record<string, () => void>> = {
        flip: () => writeFileSync(file, before.with(at, (before[at] ?? 0) ^ (1 << random(8)))),
        cut: () => writeFileSync(file, before.subarray(0, at)),
        grow: () => writeFileSync(file, Buffer.concat([before, Buffer.from([random(256)])])),
        garble: () => writeFileSync(file, Buffer.concat([before.subarray(0, at), Buffer.from("\xff\0}]\n", "latin1")])),
        lose: () => rmSync(file),
      };
      const [name = "", harm = () => {}] = Object.entries(harms)[random(5)] ?? [];
      harm();
      const { problems } = await lab.verify({ transactions: [transactionId(1)] });
      assert.notEqual(problems.length, 0, `round ${round}: ${name} at ${at} of ${file} was not noticed`);
      writeFileSync(file, before);
    }
    assert.deepEqual((await lab.verify()).problems, []);
  });

  describe("as a job", () => {
    async function run(lab: TestArchive, input: Job["input"], checkpoint: Job["checkpoint"] = {}): Promise<Job> {
      const jobs = jobsOf(lab);
      const { id } = await jobs.submit({ kind: "verify", lane: "slow", owner: "ada", input });
      await jobs.change(id, ["queued"], { checkpoint });
      return finished(lab, jobs, id);
    }
    const handlersOf = (lab: TestArchive) => ({ verify: verifyJob(partsOf(lab)) });
    function jobsOf(lab: TestArchive): Jobs {
      const nextId = async () => jobId(await lab.stores.sequences.reserve("upload_job", 1));
      return jobService(lab.stores.jobs, nextId, systemClock, handlersOf(lab));
    }
    async function finished(lab: TestArchive, jobs: Jobs, id: Job["id"]): Promise<Job> {
      const worker = startWorker(jobs, lab.stores.queue, handlersOf(lab), systemClock, {
        name: "test",
        concurrency: { fast: 0, slow: 1 },
      });
      try {
        await until("the job is over", async () => (await jobs.get(id)).finishedAt !== null);
      } finally {
        await worker.stop();
      }
      return jobs.get(id);
    }
    const everything = { objects: OBJECTS, files: 3 * OBJECTS, bytes: OBJECTS * (BIG_BYTES + 7), problems: 0 };

    test("succeeds with what it has checked", async () => {
      const { state, result, tasks, warnings } = await run(await original.copy(), {});
      assert.deepEqual([state, result, warnings], ["succeeded", everything, []]);
      assert.deepEqual(
        tasks.map(({ name, percent }) => [name, percent]),
        [["verify", 100]],
      );
    });

    test("fails when something is wrong, with every problem among its warnings", async () => {
      const lab = await original.copy();
      const bad = ["v1/content/data/a.txt", "v1/content/data/deep/er/b.txt"];
      for (const path of bad) writeFileSync(lab.fileOf(2, path), "another");
      const { state, error, warnings } = await run(lab, { quick: true });
      assert.deepEqual(
        [state, error?.code, error?.details],
        ["failed", "verify_failed", { ...everything, problems: 2 }],
      );
      assert.deepEqual(
        warnings.map(({ code, path }) => [code, path]),
        bad.map((path) => ["object_corrupt", lab.nameOf(2, path)]),
      );
    });

    test("looks at everything again when it is retried after a repair", async () => {
      const lab = await original.copy();
      const { id, state } = await run(lab, {}, { after: paths(lab)[0] ?? "", totals: { ...everything, problems: 1 } });
      assert.equal(state, "failed", "what was found before the checkpoint counts");
      const jobs = jobsOf(lab);
      await jobs.retry(id, "ada");
      const again = await finished(lab, jobs, id);
      assert.deepEqual([again.state, again.result], ["succeeded", everything]);
    });

    test("looks at what it was asked for", async () => {
      const { result } = await run(await original.copy(), { transactions: [3], quick: true });
      assert.deepEqual(result, { objects: 1, files: 3, bytes: BIG_BYTES + 7, problems: 0 });
    });

    test("continues behind its checkpoint and counts what it found before", async () => {
      const lab = await original.copy();
      const totals = { objects: OBJECTS - 1, files: 5, bytes: 50, problems: 3 };
      const { error } = await run(lab, {}, { after: paths(lab)[OBJECTS - 2] ?? "", totals });
      assert.deepEqual(error?.details, { objects: OBJECTS, files: 8, bytes: 50 + BIG_BYTES + 7, problems: 3 });
    });
  });
});
