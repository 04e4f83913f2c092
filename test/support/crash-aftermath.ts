import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { STAGING } from "../../src/adapters/storage/fs/layout.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { verifyArchive } from "../../src/core/archive/verify.ts";
import type { Clock } from "../../src/core/clock.ts";
import { transactionOf } from "../../src/core/ids.ts";
import type { Job } from "../../src/core/jobs/job.ts";
import { openLog } from "../../src/log.ts";
import { archiveDirOf, type Composition, dataDirOf, inboxOf, openComposition } from "./crash-composition.ts";
import type { Deposit } from "./crash-depositor.ts";
import { until } from "./until.ts";

/** An hour later every lease has run out and every request is known to be dead. */
const LATER: Clock = { now: () => Date.now() + 3_600_000, sleep: systemClock.sleep };
/** Nobody who lives loses a job here, however busy the machine. */
const LEASE_MS = 60_000;
/** Whatever happened, happened before this. */
const FOREVER = Number.MAX_SAFE_INTEGER;

/** What was deposited, by path below `data/`. */
export type Files = Readonly<Record<string, string>>;

/**
 * Goes on in a dead process's folder as the next server would, and looks whether everything is as the depositor may
 * expect it, whatever the moment of the crash.
 * @returns how the deposit ended: `undefined` when it had left no trace.
 */
export async function aftermath(
  { folder, kind }: Deposit,
  files: Files,
  acknowledged: number | undefined,
): Promise<Job["state"] | undefined> {
  const next = await openComposition({ folder, clock: LATER, leaseMs: LEASE_MS });
  try {
    const troubles: unknown[] = [];
    await next.finished.sweep(openLog({ logLevel: "silent", logFormat: "json" }));
    const worker = next.startWorker({ jobEnded: () => {}, trouble: (error) => troubles.push(error) });
    try {
      await next.jobs.adoptStarved(); // the worker's own first beat does it too, but later
      await allOver(next);
      await assertUsable(folder, next);
    } finally {
      await worker.stop();
    }
    assert.deepEqual(troubles, []);

    const [, job, ...others] = await next.stores.jobs.list({ limit: 10 });
    assert.deepEqual(others, [], "one deposit, one job");
    if (acknowledged !== undefined) assert.deepEqual([job?.id, job?.state], [acknowledged, "succeeded"]);
    if (job?.state === "succeeded") await assertComplete(next, job, files);
    else await assertAbsent(next, job);
    if (kind === "move") assertMoved(folder, files, job?.state === "succeeded");
    await assertNothingLeft(folder, next);
    await assertVerifies(next);
    return job?.state;
  } finally {
    await next.close();
  }
}

async function allOver({ stores }: Composition): Promise<void> {
  await until("no job is stuck", async () => {
    const open = await stores.jobs.list({ states: ["queued", "running"], limit: 1 });
    return open.length === 0;
  });
}

/** Complete, readable and equal, as the archive alone tells it. */
async function assertComplete({ archive }: Composition, job: Job, files: Files): Promise<void> {
  const read = await archive.read(transactionOf(job.id));
  assert.ok(read, "a job that succeeded has its object");
  const found: Record<string, string> = {};
  for await (const file of read.files())
    found[file.path.slice("data/".length)] = await text(await archive.openFile(read.transaction, file));
  assert.deepEqual(found, files);
}

/** The job may be known, as one that failed; of its transaction there is nothing. */
async function assertAbsent({ archive, stores }: Composition, job: Job | undefined): Promise<void> {
  const transactions = await stores.catalogue.listTransactions({ limit: 10 });
  assert.equal(transactions.length, 1, "only the next deposit is in the catalogue");
  const paths = (await Array.fromAsync(archive.storage.list(""))).map(({ path }) => path);
  assert.equal(paths.filter((path) => path.endsWith("0=ocfl_object_1.1")).length, 1, "and in the archive");
  // All that can be wrong with it is that it did not arrive as a whole.
  if (job) assert.deepEqual([job.state, job.error?.code], ["failed", "upload_interrupted"]);
}

/** Each file is in one of the two places; what is in the archive has been compared already. */
function assertMoved(folder: string, files: Files, isArchived: boolean): void {
  for (const [path, content] of Object.entries(files)) {
    const source = join(inboxOf(folder), path);
    if (isArchived) assert.ok(!existsSync(source), `${path} is archived, and still lies where it lay`);
    else assert.equal(readFileSync(source, "utf8"), content);
  }
}

/** The next deposit is a move: unlike a bundle it starts no threads, which would cost more than all the rest here. */
async function assertUsable(folder: string, next: Composition): Promise<void> {
  const source = join(inboxOf(folder), "next.txt");
  writeFileSync(source, "next\n");
  const file = {
    destinationTable: "Files",
    name: "next.txt",
    subdir: "data",
    source,
    size: 5,
    hashtype: "md5",
    hashsum: "4d70e93c98a3a5ff1e7e5160d909a9b9", // printf 'next\n' | md5sum
  };
  const { id } = await next.ingest.move(Buffer.from(JSON.stringify([file])), { owner: "bea" });
  await allOver(next);
  const { state, error } = await next.jobs.get(id);
  assert.deepEqual([state, error], ["succeeded", null]);
}

/** Of uploads, only what its sender may still continue is left: that expires. */
async function assertNothingLeft(folder: string, { uploads }: Composition): Promise<void> {
  await assertStagingEmpty(archiveDirOf(folder));
  await uploads.removeExpired(FOREVER);
  assert.deepEqual(await readdir(join(dataDirOf(folder), "uploads")), []);
}

/** But for the folders that are always there. */
export async function assertStagingEmpty(archiveDir: string): Promise<void> {
  const staged = await readdir(join(archiveDir, STAGING), { recursive: true });
  const always = ["discarded", "incoming", "notes", "trees"];
  assert.deepEqual(
    staged.filter((path) => !always.includes(path)),
    [],
  );
}

async function assertVerifies({ archive, stores }: Composition): Promise<void> {
  // Without its own threads for reading, like storage that has none: there is too little to read here.
  const { facts: _, ...storage } = archive.storage;
  const parts = {
    archive: { ...archive, storage },
    catalogue: stores.catalogue,
    jobs: stores.jobs,
    clock: systemClock,
  };
  const checked = await Array.fromAsync(verifyArchive(parts, { signal: new AbortController().signal }));
  assert.deepEqual(
    checked.flatMap(({ problems, notes }) => [...problems, ...notes]),
    [],
  );
}
