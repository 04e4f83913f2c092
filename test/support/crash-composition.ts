import { join } from "node:path";
import { openSqlite } from "../../src/adapters/db/stores.ts";
import { fsObjectStorage } from "../../src/adapters/storage/fs.ts";
import { stagingCache } from "../../src/compose/archive.ts";
import { type Foundation, searchIndex } from "../../src/compose/foundation.ts";
import { composeServices, type Services } from "../../src/compose/services.ts";
import { audit } from "../../src/core/access/audit.ts";
import { ocflArchive } from "../../src/core/archive/archive.ts";
import type { Clock } from "../../src/core/clock.ts";
import { type FinishedUploads, finishedUploads } from "../../src/http/upload/finished-uploads.ts";
import { loadConfig } from "../../src/settings/config.ts";
import type { StepWatch } from "./crash-steps.ts";

export interface CompositionOptions {
  /** Holds everything, also the files to be moved, in `inbox`. */
  readonly folder: string;
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly watch?: StepWatch;
}

export interface Composition extends Foundation, Services {
  readonly finished: FinishedUploads;
}

export const inboxOf = (folder: string) => join(folder, "inbox");
export const dataDirOf = (folder: string) => join(folder, "data");
export const archiveDirOf = (folder: string) => join(folder, "data/archive");

/** What `longshore serve` runs on an existing data folder, without its HTTP. */
export async function openComposition(options: CompositionOptions): Promise<Composition> {
  const { folder, clock, leaseMs, watch } = options;
  const config = loadConfig({
    LONGSHORE_DATA_DIR: dataDirOf(folder),
    LONGSHORE_MOVE_ROOTS: inboxOf(folder),
    // A worker that is busy claims nothing: how often it looks, which is a matter of time, makes no steps.
    LONGSHORE_WORKERS: "fast:1,slow:0",
  });
  const opened = await openSqlite({ path: join(config.dataDir, "longshore.sqlite"), clock, leaseMs });
  const stores = watch?.stores(opened) ?? opened;
  const plain = fsObjectStorage({ root: config.archive.path });
  await ocflArchive(plain, config.digest).prepare();
  const storage = watch?.storage(plain) ?? plain;
  const cache = await stagingCache(config);
  const index = searchIndex(config);
  const foundation: Foundation = {
    stores,
    storage,
    archive: ocflArchive(storage, config.digest),
    cache,
    index,
    async close() {
      await index.close();
      await cache.close();
      await plain.close();
      await opened.close();
    },
  };
  const services = await composeServices(config, clock, foundation);
  const { ingest, uploads } = services;
  const finished = finishedUploads({
    uploads,
    ingest,
    audit: audit(stores.audit, clock, "Longshore/0.0.0-test"),
    clock,
    options: config,
  });
  return { ...foundation, ...services, finished };
}
