import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { DatabaseAddress } from "../adapters/db/address.ts";
import type { MigrationNews } from "../adapters/db/migrate.ts";
import { openPostgres, openSqlite, type Stores } from "../adapters/db/stores.ts";
import { httpExchange } from "../adapters/outbound/http-exchange.ts";
import { openSearchIndex } from "../adapters/search/opensearch.ts";
import { postgresIndex } from "../adapters/search/postgres.ts";
import { sqliteFtsIndex } from "../adapters/search/sqlite-fts.ts";
import { systemClock } from "../adapters/system-clock.ts";
import { type Archive, ocflArchive } from "../core/archive/archive.ts";
import type { ObjectStorage } from "../core/archive/object-storage.ts";
import type { SearchIndex } from "../core/catalogue/search-index.ts";
import type { Clock } from "../core/clock.ts";
import type { Config } from "../settings/config.ts";
import { archiveStorage, stagingCache } from "./archive.ts";
import type { S3Watch } from "./s3.ts";

/** What lies under everything: the database and the archive, opened and ready. */
export interface Foundation {
  readonly stores: Stores;
  readonly storage: ObjectStorage;
  readonly archive: Archive;
  /** Where files are copied to that cannot be read where they are. */
  readonly cache: ObjectStorage;
  /** Opened with the first use; by one process at a time, if it is not shared: see {@link sharesSearch}. */
  readonly index: SearchIndex;
  close(): Promise<void>;
}

/**
 * Chooses the adapters by the settings and opens them.
 * @param onTrouble told of what goes wrong between requests, such as a broken connection.
 * @throws AppError saying which of them does not open.
 */
export async function openFoundation(
  config: Config,
  clock: Clock,
  onTrouble?: (error: unknown) => void,
  watch?: S3Watch,
): Promise<Foundation> {
  // With all else in PostgreSQL and S3 nobody has made it yet, and what is not there has no room for anything.
  await mkdir(config.dataDir, { recursive: true });
  const stores = await openStores(config, clock, onTrouble);
  try {
    const storage = await archiveStorage(config, watch && { watch });
    const archive = ocflArchive(storage, config.digest);
    await archive.prepare();
    const cache = await stagingCache(config, watch);
    const index = searchIndex(config, onTrouble);
    return {
      stores,
      storage,
      archive,
      cache,
      index,
      async close() {
        await index.close();
        await cache.close();
        await storage.close();
        await stores.close();
      },
    };
  } catch (error) {
    await stores.close();
    throw error;
  }
}

/**
 * In the engine that a setting names; else in PostgreSQL, if that is the database: what is found is then the same wherever it is
 * looked for.
 */
export function searchIndex(
  config: Config,
  onTrouble?: (error: unknown) => void,
): SearchIndex & { close(): Promise<void> } {
  const { searchEngine, searchShards: shards } = config;
  if (searchEngine) return openSearchIndex({ ...searchEngine, shards, exchange: httpExchange(), clock: systemClock });
  if (config.databaseUrl !== undefined)
    return postgresIndex({ url: config.databaseUrl, ...(onTrouble && { onTrouble }) });
  return sqliteFtsIndex({ folder: searchFolder(config) });
}

/** Whether all processes have one index, of which one brings changes in. */
export function sharesSearch({ databaseUrl, searchEngine }: Config): boolean {
  return databaseUrl !== undefined || searchEngine !== undefined;
}

/** May be removed while no server runs: what is in it is made anew from the database. */
export function searchFolder({ dataDir }: Config): string {
  return join(dataDir, "search");
}

/** The database alone: for commands that need no archive. */
export async function openStores(
  config: Config,
  clock: Clock,
  onTrouble?: (error: unknown) => void,
  onMigration: (news: MigrationNews) => void = warnOfWaiting,
): Promise<Stores> {
  const address = databaseOf(config);
  const options = { clock, migrates: config.migrates, onMigration };
  if (address.dialect === "postgres")
    return openPostgres({ ...options, url: address.url, ...(onTrouble && { onTrouble }) });
  await mkdir(config.dataDir, { recursive: true });
  return openSqlite({ ...options, path: address.path });
}

export function databaseOf({ databaseUrl, dataDir }: Pick<Config, "databaseUrl" | "dataDir">): DatabaseAddress {
  return databaseUrl === undefined
    ? { dialect: "sqlite", path: join(dataDir, "longshore.sqlite") }
    : { dialect: "postgres", url: databaseUrl };
}

function warnOfWaiting({ type }: MigrationNews): void {
  if (type === "waiting") process.emitWarning("Another process brings the database up to date; waiting for it to end.");
}
