import { fsObjectStorage } from "../adapters/storage/fs.ts";
import { s3ObjectStorage } from "../adapters/storage/s3.ts";
import type { ObjectStorage } from "../core/archive/object-storage.ts";
import type { Config } from "../settings/config.ts";

/** Nothing is asked of an S3 server yet. @throws AppError driver_missing. */
export async function archiveStorage(
  { archive, archiveRestore, s3 }: Config,
  options: { readonly tries?: number } = {},
): Promise<ObjectStorage> {
  if (archive.kind === "folder") return fsObjectStorage({ root: archive.path });
  // At the top of an object lie its declaration and its inventory: with these, anybody takes it for one.
  const isHeldBack = (path: string) => !path.includes("/");
  return s3ObjectStorage({ place: archive.path, settings: s3, isHeldBack, restore: archiveRestore, ...options });
}

/** Made when the first file is staged. @throws AppError driver_missing. */
export async function stagingCache({ shared, s3 }: Config): Promise<ObjectStorage> {
  const { kind, path } = shared.staging;
  return kind === "folder" ? fsObjectStorage({ root: path }) : s3ObjectStorage({ place: path, settings: s3 });
}
