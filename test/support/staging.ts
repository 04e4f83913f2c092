import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { openSqlite, type Stores } from "../../src/adapters/db/stores.ts";
import { httpExchange } from "../../src/adapters/outbound/http-exchange.ts";
import { pacificaArchive } from "../../src/adapters/pacifica/archive.ts";
import { fsObjectStorage } from "../../src/adapters/storage/fs.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { ObjectStorage } from "../../src/core/archive/object-storage.ts";
import type { Cart, CartEntry } from "../../src/core/carts/cart.ts";
import type { NewEntry } from "../../src/core/carts/cart-store.ts";
import { stageJob } from "../../src/core/carts/staging/stage-job.ts";
import { type Staging, type StagingParts, stagingService } from "../../src/core/carts/staging/staging.ts";
import type { Clock } from "../../src/core/clock.ts";
import { type CartId, cartId, type JobId, jobId } from "../../src/core/ids.ts";
import type { Job } from "../../src/core/jobs/job.ts";
import { type Jobs, jobService } from "../../src/core/jobs/jobs.ts";
import { startWorker, type Worker } from "../../src/core/jobs/worker.ts";
import { type ColdStorage, coldStorage } from "./cold-storage.ts";
import { type PacificaArchive, pacificaArchiveServer } from "./pacifica-archive.ts";
import { until } from "./until.ts";

/** Real time, but every pause is over fifty times as soon, and hours can be left out. */
export interface HastyClock extends Clock {
  /** How long each pause was meant to be. */
  readonly pausesMs: readonly number[];
  skip(ms: number): void;
}

export function hastyClock(): HastyClock {
  const pausesMs: number[] = [];
  let skipped = 0;
  return {
    pausesMs,
    now: () => Date.now() + skipped,
    sleep(ms, signal) {
      pausesMs.push(ms);
      return systemClock.sleep(Math.min(ms / 50, 100), signal);
    },
    skip(ms) {
      skipped += ms;
    },
  };
}

/** Staging over real sockets, a real database and a real disk. */
export interface StagingFixture {
  readonly stores: Stores;
  readonly clock: HastyClock;
  /** Where archived files lie. */
  readonly archive: ColdStorage;
  readonly remote: PacificaArchive;
  readonly cache: ObjectStorage;
  readonly cacheDir: string;
  readonly staging: Staging;
  readonly jobs: Jobs;
  /** What workers were troubled by. */
  readonly troubles: readonly unknown[];
  /** Another process on the same database and cache. */
  anotherStaging(parts?: Partial<StagingParts>): Staging;
  /** A cart of these entries, waiting for its job, which is queued. */
  cart(...entries: readonly GivenEntry[]): Promise<Cart & { readonly stageJob: JobId }>;
  worker(): Worker;
  /** Runs a worker until the cart's job is over. */
  staged(cart: Cart): Promise<{ readonly cart: Cart; readonly job: Job }>;
  entries(cart: Cart): Promise<readonly CartEntry[]>;
  /** What the files of a cart hold, by path. */
  contents(cart: Cart): Promise<Readonly<Record<string, string>>>;
}

/** The rest is not known. */
export type GivenEntry = Partial<NewEntry> & Pick<NewEntry, "location">;

export interface StagingOptions {
  readonly capacityBytes?: number;
  readonly protectMs?: number;
  /** How long the remote archive may be silent. */
  readonly silenceMs?: number;
  /** No remote archive is configured. */
  readonly alone?: boolean;
}

export async function openStaging(t: TestContext, options: StagingOptions = {}): Promise<StagingFixture> {
  const { capacityBytes = 2 ** 30, protectMs = 3_600_000, silenceMs = 10_000, alone = false } = options;
  const folder = await mkdtemp(join(tmpdir(), "longshore-staging-"));
  const clock = hastyClock();
  const stores = await openSqlite({ path: join(folder, "test.sqlite"), clock });
  const plain = fsObjectStorage({ root: join(folder, "archive") });
  const archive = coldStorage(plain);
  const cacheDir = join(folder, "staging");
  const cache = fsObjectStorage({ root: cacheDir });
  const server = await pacificaArchiveServer();
  const exchange = httpExchange();
  const workers: Worker[] = [];
  const troubles: unknown[] = [];

  const limits = { capacityBytes, protectMs };
  const parts = { storage: cache, store: stores.staging, archive, carts: stores.carts, clock, limits };
  const staging = stagingService(parts);
  const remote = alone ? undefined : pacificaArchive({ url: server.url, exchange, silenceMs });
  const handlers = { stage: stageJob({ carts: stores.carts, staging, archive, remote, clock }) };
  const nextId = async () => jobId(await stores.sequences.reserve("upload_job", 1));
  const jobs = jobService(stores.jobs, nextId, clock, handlers);

  t.after(async () => {
    server.resume();
    for (const worker of workers) await worker.stop();
    try {
      await assertInBooks(stores, cache);
    } finally {
      exchange.close();
      await server.close();
      await cache.close();
      await plain.close();
      await stores.close();
      await rm(folder, { recursive: true });
    }
  });

  function worker(): Worker {
    const started = startWorker(jobs, stores.queue, handlers, clock, {
      name: `worker ${workers.length}`,
      concurrency: { fast: 1, slow: 2 },
      onTrouble: (error) => troubles.push(error),
    });
    workers.push(started);
    return started;
  }

  let carts = 0;
  return {
    stores,
    clock,
    archive,
    remote: server,
    cache,
    cacheDir,
    staging,
    jobs,
    troubles,
    worker,
    anotherStaging: (other = {}) => stagingService({ ...parts, ...other }),

    async cart(...entries) {
      const id: CartId = cartId(`cart-${++carts}`);
      const about = { id, uid: null, name: "cart", owner: "ada", algorithm: "sha512", expiresAt: null } as const;
      await stores.carts.create(about, clock.now());
      await stores.carts.addEntries(
        id,
        entries.map((entry, seq) => ({ ...UNKNOWN, path: `file-${seq}`, ...entry, seq })),
      );
      const request = { kind: "stage", lane: "slow", owner: "ada", input: { cart: id } } as const;
      const { id: stageJob } = await jobs.submit(request);
      const cart = await stores.carts.update(id, ["waiting"], { fileCount: entries.length }, clock.now());
      assert.ok(cart);
      return { ...cart, stageJob };
    },

    async staged({ id }) {
      const running = worker();
      const job = async () => {
        const [found] = (await jobs.list({ limit: 100 })).filter(({ input }) => input.cart === id);
        assert.ok(found);
        return found;
      };
      await until(`the job of ${id} is over`, async () => (await job()).finishedAt !== null);
      await running.stop();
      const cart = await stores.carts.get(id);
      assert.ok(cart);
      return { cart, job: await job() };
    },

    entries: ({ id }) => stores.carts.entries(id, 0, 10_000),

    async contents({ id }) {
      const entries = await stores.carts.entries(id, 0, 10_000);
      const read = entries.map(async ({ path, location }) => {
        const at = await staging.read(location);
        return [path, await text(await at.storage.open(at.path))] as const;
      });
      return Object.fromEntries(await Promise.all(read));
    },
  };
}

const UNKNOWN = {
  sizeBytes: 0,
  modifiedAt: null,
  crc32: null,
  digest: null,
  fileId: null,
  transactionId: null,
  expected: null,
} as const;

/** An entry that is to be fetched from the remote archive. */
export function remoteFile(id: string, expected: CartEntry["expected"] = null): GivenEntry {
  return { path: `remote-${id}`, location: { at: "remote", id }, expected };
}

/** What the books say is in the cache, and nothing else. */
export async function assertInBooks(stores: Stores, cache: ObjectStorage): Promise<void> {
  const found: Record<string, number> = {};
  for await (const { path, sizeBytes } of cache.list("")) found[dirname(path)] = sizeBytes;
  const paths = Object.keys(found);
  const sizes = Object.values(found);
  assert.deepEqual(await Array.fromAsync(cache.staged()), [], "no copy is under way");
  assert.deepEqual(await stores.staging.known(paths), new Set(paths));
  assert.deepEqual(await stores.staging.usage(), {
    files: paths.length,
    bytes: sizes.reduce((sum, size) => sum + size, 0),
    reservedBytes: 0,
  });
}
