import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kysely, sql } from "kysely";
import { postgresDialect } from "../src/adapters/db/postgres.ts";
import { sqliteDialect } from "../src/adapters/db/sqlite.ts";
import { openPostgres, openSqlite, type Stores } from "../src/adapters/db/stores.ts";
import { postgresIndex } from "../src/adapters/search/postgres.ts";
import { sqliteFtsIndex } from "../src/adapters/search/sqlite-fts.ts";
import { systemClock } from "../src/adapters/system-clock.ts";
import type { ArchivedFile, Transaction } from "../src/core/catalogue/catalogue-store.ts";
import { fileDocument } from "../src/core/catalogue/search-documents.ts";
import type { SearchIndex } from "../src/core/catalogue/search-index.ts";
import { fileId, jobId, transactionId } from "../src/core/ids.ts";
import { startPostgres } from "../test/support/postgres.ts";

/*
 * How many bytes of database and of search index a file, a transaction and a finished job take: 100,000 files in 1,000
 * transactions, with two digests each. docs/sizing.md reckons with what it prints.
 *
 *     node bench/rows.ts
 */

const TRANSACTIONS = 1_000;
const FILES_EACH = 100;
const NOW = Date.UTC(2026, 10, 1);

const hex = (algorithm: string) => createHash(algorithm).update(randomBytes(16)).digest("hex");

function transactionOf(n: number): { readonly transaction: Transaction; readonly files: readonly ArchivedFile[] } {
  const id = transactionId(n);
  const transaction: Transaction = {
    ...{ id, submitter: "34002", project: "40072", instrument: "34075", owner: "laboratory", fileCount: FILES_EACH },
    ...{ sizeBytes: FILES_EACH * 2 ** 20, createdAt: NOW + n * 60_000 },
    objectPath: `a47/1c9/e02/transaction-${n}`,
    inventoryDigest: `sha512:${hex("sha512")}`,
  };
  const files = Array.from({ length: FILES_EACH }, (_, at): ArchivedFile => {
    const path = `data/run-${n}/2026-11-01/frame_${String(at).padStart(6, "0")}.tif`;
    const sha1 = hex("sha1");
    return {
      ...{ id: fileId(n * FILES_EACH + at), transactionId: id, path, contentPath: `v1/content/${path}` },
      ...{ sizeBytes: 2 ** 20, mediaType: "image/tiff", crc32: at },
      ...{ modifiedAt: "2026-11-01T09:30:00.000Z", changedAt: "2026-11-01T09:30:00.000Z" },
      digests: { sha1, sha512: hex("sha512") },
      declared: { algorithm: "sha1", value: sha1 },
    };
  });
  return { transaction, files };
}

const all = Array.from({ length: TRANSACTIONS }, (_, n) => transactionOf(n + 1));

/** @param size of what is measured, in bytes. @returns what `work` adds to it. */
async function growth(size: () => Promise<number>, work: () => Promise<unknown>): Promise<number> {
  const before = await size();
  await work();
  return (await size()) - before;
}

async function fill(stores: Stores): Promise<void> {
  for (const { transaction, files } of all)
    await stores.catalogue.add(
      transaction,
      (async function* () {
        yield* files;
      })(),
      [{ fileId: null, key: "sample", value: "quartz 17" }],
      [],
      NOW,
    );
}

async function finishJobs(stores: Stores): Promise<void> {
  const tasks = ["metadata", "policy", "verify", "publish", "catalogue"].map((name) => ({
    ...{ name, percent: 100, startedAt: NOW, finishedAt: NOW + 5, doneFiles: 100, totalFiles: 100 },
  }));
  for (let at = 0; at < 10_000; at += 500)
    await Promise.all(
      Array.from({ length: 500 }, async (_, n) => {
        const id = jobId(at + n + 1);
        const base = { kind: "ingest", lane: "fast", owner: "laboratory", idempotencyKey: null, now: NOW } as const;
        await stores.jobs.create({ ...base, id, input: { bundle: `transaction-${id}` }, fedUntil: NOW });
        const note = (name: string) => [{ type: "task", data: { name } }] as const;
        for (const { name } of tasks) await stores.jobs.update(id, ["running"], { tasks }, NOW, note(name));
        const result = { transactionId: id, files: 100, bytes: 10 ** 8, inventoryDigest: `sha512:${hex("sha512")}` };
        const events = [{ type: "state", data: { state: "succeeded" } }] as const;
        await stores.jobs.update(id, ["running"], { state: "succeeded", result, finishedAt: NOW }, NOW, events);
      }),
    );
}

async function indexAll(index: SearchIndex): Promise<void> {
  const keyValues = [{ fileId: null, key: "sample", value: "quartz 17" }];
  for (const { transaction, files } of all)
    await index.put(files.map((file) => fileDocument(file, transaction, keyValues)));
}

interface Measured {
  readonly stores: Stores;
  readonly index: SearchIndex & { close(): Promise<void> };
  readonly databaseBytes: () => Promise<number>;
  readonly indexBytes: () => Promise<number>;
}

async function report(name: string, { stores, index, databaseBytes, indexBytes }: Measured): Promise<void> {
  const files = TRANSACTIONS * FILES_EACH;
  const bytes = {
    perFile: Math.round((await growth(databaseBytes, () => fill(stores))) / files),
    perFinishedJob: Math.round((await growth(databaseBytes, () => finishJobs(stores))) / 10_000),
    perSearchDocument: Math.round((await growth(indexBytes, () => indexAll(index))) / files),
  };
  console.log(JSON.stringify({ database: name, files, ...bytes }));
  await index.close();
  await stores.close();
}

const folder = await mkdtemp(join(tmpdir(), "longshore-rows-"));
const postgres = await startPostgres();
try {
  const path = join(folder, "longshore.sqlite");
  const lite = new Kysely<object>({ dialect: sqliteDialect(path) });
  const searchDir = join(folder, "search");
  await report("sqlite", {
    stores: await openSqlite({ path, clock: systemClock }),
    index: sqliteFtsIndex({ folder: searchDir }),
    async databaseBytes() {
      await sql`pragma wal_checkpoint(truncate)`.execute(lite);
      return (await stat(path)).size;
    },
    async indexBytes() {
      const names = await readdir(searchDir).catch(() => []);
      const sizes = await Promise.all(names.map(async (name) => (await stat(join(searchDir, name))).size));
      return sizes.reduce((sum, size) => sum + size, 0);
    },
  });
  await lite.destroy();

  const url = await postgres.freshDatabase();
  const onTrouble = (error: unknown) => console.error(error);
  const db = new Kysely<object>({ dialect: await postgresDialect({ url, onTrouble }) });
  const databaseBytes = async () => {
    const { rows } = await sql<{ bytes: number }>`select pg_database_size(current_database()) as bytes`.execute(db);
    return rows[0]?.bytes ?? 0;
  };
  const stores = await openPostgres({ url, clock: systemClock });
  await report("postgres", {
    stores,
    index: postgresIndex({ url, onTrouble }),
    databaseBytes,
    indexBytes: databaseBytes,
  });
  await db.destroy();
} finally {
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
}
