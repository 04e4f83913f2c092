import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openSqlite, type Stores } from "./adapters/db/stores.ts";
import { fsObjectStorage } from "./adapters/storage/fs.ts";
import type { Config } from "./config.ts";
import { type Archive, ocflArchive } from "./core/archive/archive.ts";
import type { ObjectStorage } from "./core/archive/object-storage.ts";
import type { Clock } from "./core/clock.ts";

/** What lies under everything: the database and the archive, opened and ready. */
export interface Foundation {
  readonly stores: Stores;
  readonly storage: ObjectStorage;
  readonly archive: Archive;
  close(): Promise<void>;
}

/** Chooses the adapters by the settings and opens them. @throws AppError saying which of them does not open. */
export async function openFoundation(config: Config, clock: Clock): Promise<Foundation> {
  await mkdir(config.dataDir, { recursive: true });
  const stores = await openStores(config, clock);
  try {
    const storage = fsObjectStorage({ root: config.archiveDir });
    const archive = ocflArchive(storage, config.digest);
    await archive.prepare();
    return {
      stores,
      storage,
      archive,
      async close() {
        await storage.close();
        await stores.close();
      },
    };
  } catch (error) {
    await stores.close();
    throw error;
  }
}

/** The database alone: for commands that need no archive. */
export async function openStores(config: Config, clock: Clock): Promise<Stores> {
  await mkdir(config.dataDir, { recursive: true });
  if (config.databaseUrl !== undefined) {
    const { openPostgres } = await import("./adapters/db/postgres.ts");
    return openPostgres({ url: config.databaseUrl, clock });
  }
  return openSqlite({ path: join(config.dataDir, "longshore.sqlite"), clock });
}
