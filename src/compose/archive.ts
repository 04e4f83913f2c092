import { fsObjectStorage } from "../adapters/storage/fs.ts";
import { s3ObjectStorage } from "../adapters/storage/s3.ts";
import type { ObjectStorage } from "../core/archive/object-storage.ts";
import type { Config } from "../settings/config.ts";
import { type S3Watch, s3Settings } from "./s3.ts";

/** Nothing is asked of an S3 server yet. @throws AppError driver_missing. */
export async function archiveStorage(
  config: Config,
  { watch, ...options }: { readonly tries?: number; readonly watch?: S3Watch } = {},
): Promise<ObjectStorage> {
  const { archive, archiveRestore } = config;
  if (archive.kind === "folder") return fsObjectStorage({ root: archive.path });
  // At the top of an object lie its declaration and its inventory: with these, anybody takes it for one.
  const isHeldBack = (path: string) => !path.includes("/");
  const settings = s3Settings(config, watch);
  return s3ObjectStorage({ place: archive.path, settings, isHeldBack, restore: archiveRestore, ...options });
}

/** Made when the first file is staged. @throws AppError driver_missing. */
export async function stagingCache(config: Config, watch?: S3Watch): Promise<ObjectStorage> {
  const { kind, path } = config.shared.staging;
  if (kind === "folder") return fsObjectStorage({ root: path });
  return s3ObjectStorage({ place: path, settings: s3Settings(config, watch) });
}
