import { join } from "node:path";
import { packageFolder } from "../adapters/packages/folder.ts";
import { s3PackageFiles } from "../adapters/packages/s3.ts";
import { runOutputs } from "../adapters/run/run-outputs.ts";
import { s3RunOutputs } from "../adapters/run/s3-run-outputs.ts";
import { openS3Store, PATIENT_TRIES, type S3Store } from "../adapters/s3/client.ts";
import { s3Objects } from "../adapters/s3/objects.ts";
import { s3UploadStore } from "../adapters/upload/s3.ts";
import { fsUploadStore } from "../adapters/upload/upload-store.ts";
import type { UploadStore } from "../core/ingest/upload-store.ts";
import type { PackageFiles } from "../core/packages/package-files.ts";
import type { RunOutputs } from "../core/schedules/run-outputs.ts";
import type { Config } from "../settings/config.ts";
import { type S3Watch, s3Settings } from "./s3.ts";

/** What all nodes must see beside the database and the archive. */
export interface Shared {
  readonly uploads: UploadStore;
  readonly packages: PackageFiles;
  readonly outputs: RunOutputs;
}

/** Nothing is asked of an S3 server yet; its idle connections keep no process from ending. @throws AppError driver_missing. */
export async function composeShared(config: Config, watch?: S3Watch): Promise<Shared> {
  const { isShared, uploads, packages, runs } = config.shared;
  const settings = s3Settings(config, watch);
  const store = (place: string): Promise<S3Store> => openS3Store(place, settings, { tries: PATIENT_TRIES });
  return {
    uploads:
      uploads.kind === "s3"
        ? s3UploadStore(s3Objects(await store(uploads.path)))
        : await fsUploadStore(uploads.path, { isShared }),
    packages:
      packages.kind === "s3"
        ? s3PackageFiles({ store: await store(packages.path), work: join(config.dataDir, "packages", ".longshore") })
        : packageFolder({ root: packages.path }),
    outputs:
      runs.kind === "s3"
        ? s3RunOutputs({ objects: s3Objects(await store(runs.path)) })
        : runOutputs({ root: runs.path }),
  };
}

/** Asks the S3 server, if there is one, whether the place is there. @throws AppError storage_unavailable, driver_missing. */
export async function askShared({ shared: { place }, s3 }: Config): Promise<void> {
  if (place.kind === "folder") return;
  const store = await openS3Store(place.path, s3);
  try {
    await Array.fromAsync(s3Objects(store).list("", 1));
  } finally {
    store.client.destroy();
  }
}
