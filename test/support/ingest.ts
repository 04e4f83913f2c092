import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { openSqlite, type Stores } from "../../src/adapters/db/stores.ts";
import { STAGING } from "../../src/adapters/storage/fs/layout.ts";
import { fsObjectStorage } from "../../src/adapters/storage/fs.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { stagingCache } from "../../src/compose/archive.ts";
import { type Foundation, searchIndex } from "../../src/compose/foundation.ts";
import { composeServices, type Services } from "../../src/compose/services.ts";
import { ocflArchive } from "../../src/core/archive/archive.ts";
import type { ObjectStorage } from "../../src/core/archive/object-storage.ts";
import { verifyArchive } from "../../src/core/archive/verify.ts";
import type { ArchivedFile } from "../../src/core/catalogue/catalogue-store.ts";
import type { Clock } from "../../src/core/clock.ts";
import { transactionOf } from "../../src/core/ids.ts";
import type { BundleRequest } from "../../src/core/ingest/ingest.ts";
import { FINISHED_STATES, type Job } from "../../src/core/jobs/job.ts";
import type { Worker } from "../../src/core/jobs/worker.ts";
import { loadConfig } from "../../src/settings/config.ts";
import { until } from "./until.ts";

export interface IngestFixture extends Foundation, Services {
  readonly dataDir: string;
  readonly archiveDir: string;
  readonly worker: Worker;
  /** Errors that the worker was troubled by; the test fails when it has not looked at them. */
  takeTroubles(): unknown[];
  /** Sends a bundle and waits until its job is over. */
  deposit(bundle: Uint8Array | Readable, request?: Partial<BundleRequest>): Promise<Job>;
  over(job: Job, limitMs?: number): Promise<Job>;
  files(job: Job): Promise<readonly ArchivedFile[]>;
  /** The bytes of every file of the job's transaction as the archive has them, by logical path. */
  contents(job: Job): Promise<Record<string, string>>;
  /** That nothing of a failed deposit is left: no staged file, no object that is not catalogued. */
  unharmed(): Promise<void>;
  /** The services on the same archive, with other stores. */
  composedWith(stores: Stores): Promise<Services>;
}

export interface IngestOptions {
  readonly settings?: Readonly<Record<string, string>>;
  readonly wrap?: (storage: ObjectStorage) => ObjectStorage;
  readonly clock?: Clock;
}

/**
 * The whole of ingest as `serve` composes it, on a real database and file system in a temporary folder. After the test
 * the staging area must be empty and the archive must verify; then the folder is removed.
 */
export async function openIngest(t: TestContext, options: IngestOptions = {}): Promise<IngestFixture> {
  const dataDir = await mkdtemp(join(tmpdir(), "ingest-"));
  const config = loadConfig({ LONGSHORE_DATA_DIR: dataDir, ...options.settings });
  const clock = options.clock ?? systemClock;
  const stores = await openSqlite({ path: join(dataDir, "longshore.sqlite"), clock });
  const plain = fsObjectStorage({ root: config.archive.path });
  const storage = options.wrap?.(plain) ?? plain;
  const archive = ocflArchive(storage, config.digest);
  await ocflArchive(plain, config.digest).prepare();
  const cache = await stagingCache(config);
  const index = searchIndex(config);
  const foundation: Foundation = {
    stores,
    storage,
    archive,
    cache,
    index,
    async close() {
      await index.close();
      await cache.close();
      await plain.close();
      await stores.close();
    },
  };
  const services = await composeServices(config, clock, foundation);
  let troubles: unknown[] = [];
  const worker = services.startWorker({ jobEnded: () => {}, trouble: (error) => troubles.push(error) });

  const fixture: IngestFixture = {
    ...foundation,
    ...services,
    dataDir,
    archiveDir: config.archive.path,
    worker,
    takeTroubles() {
      const taken = troubles;
      troubles = [];
      return taken;
    },
    async deposit(bundle, request) {
      const bytes = bundle instanceof Readable ? bundle : Readable.from(inPieces(bundle), { objectMode: false });
      return fixture.over(await services.ingest.receive(bytes, { owner: "ada", ...request }));
    },
    async over(job, limitMs) {
      const isOver = async () => FINISHED_STATES.includes((await services.jobs.get(job.id)).state);
      await until(`job ${job.id} is over`, isOver, limitMs);
      return services.jobs.get(job.id);
    },
    files: (job) => stores.catalogue.listFiles(transactionOf(job.id), { limit: 1_000_000 }),
    async contents(job) {
      const transaction = await stores.catalogue.transaction(transactionOf(job.id));
      assert.ok(transaction, `transaction ${job.id} is in the catalogue`);
      const found: Record<string, string> = {};
      for (const file of await fixture.files(job))
        found[file.path] = (await buffer(await archive.openFile(transaction, file))).toString("latin1");
      return found;
    },
    async unharmed() {
      let left: readonly string[] = [];
      await until("nothing is staged", async () => {
        // Twice: what is moved from one folder to the other may be seen in neither.
        left = [...(await leftBehind(config.archive.path)), ...(await leftBehind(config.archive.path))];
        return left.length === 0;
      }).catch(() => assert.deepEqual(left, []));
      const { transactions } = await stores.catalogue.totals();
      const objects = (await readdir(config.archive.path, { recursive: true })).filter((path) =>
        path.endsWith("0=ocfl_object_1.1"),
      );
      assert.equal(objects.length, transactions, "as many objects as transactions");
    },
    composedWith: (other) => composeServices(config, clock, { ...foundation, stores: other }),
  };

  t.after(async () => {
    try {
      await worker.stop();
      await fixture.unharmed();
      assert.deepEqual(troubles, []);
      const parts = { archive: ocflArchive(plain, config.digest), catalogue: stores.catalogue };
      const verified = await Array.fromAsync(
        verifyArchive({ ...parts, jobs: stores.jobs, clock }, { signal: new AbortController().signal }),
      );
      assert.deepEqual(
        verified.flatMap(({ problems }) => problems),
        [],
      );
    } finally {
      await foundation.close();
      await rm(dataDir, { recursive: true });
    }
  });
  return fixture;
}

/** Files in the staging area, and trees without any. */
export async function leftBehind(archiveDir: string): Promise<readonly string[]> {
  const area = join(archiveDir, STAGING);
  const found = await readdir(area, { recursive: true, withFileTypes: true }).catch(() => []);
  const trees = await readdir(join(area, "trees")).catch(() => []);
  return [...found.filter((entry) => !entry.isDirectory()).map(({ name }) => name), ...trees];
}

function* inPieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}
