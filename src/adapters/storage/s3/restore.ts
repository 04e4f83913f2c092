import type { HeadObjectCommandOutput } from "@aws-sdk/client-s3";
import type { Availability, ObjectStorage } from "../../../core/archive/object-storage.ts";
import { AppError } from "../../../core/errors.ts";
import type { S3Store } from "../../s3/client.ts";
import { s3Failure, storageFailure } from "../../s3/failure.ts";

/** How urgently objects are brought up: what it costs, and how long it takes, depends on it. */
export type RestoreTier = "expedited" | "standard" | "bulk";

export interface RestoreSettings {
  readonly tier: RestoreTier;
  /** For how long what was brought up can be read. */
  readonly days: number;
}

const HOUR_MS = 3_600_000;

/** The longest that the service gives for each tier, in hours (Amazon S3, "Archive retrieval options"). */
const HOURS: Readonly<Record<string, Readonly<Record<RestoreTier, number>>>> = {
  GLACIER: { expedited: 1 / 12, standard: 5, bulk: 12 },
  DEEP_ARCHIVE: { expedited: 12, standard: 12, bulk: 48 },
  ARCHIVE_ACCESS: { expedited: 1 / 12, standard: 5, bulk: 12 },
  DEEP_ARCHIVE_ACCESS: { expedited: 12, standard: 12, bulk: 48 },
};
const TIERS = { expedited: "Expedited", standard: "Standard", bulk: "Bulk" } as const;
/** Requests remembered, for the time they are expected at. */
const REMEMBERED = 100_000;

/**
 * Objects whose storage class is one of Glacier's, or that Intelligent-Tiering has moved to one of its archives. The
 * service does not say when one will be there: that is reckoned from when this process asked, by what the service gives
 * for the tier.
 * @param requireVisible @throws AppError object_missing.
 */
export function s3Restore(
  { client, driver, bucket, prefix }: S3Store,
  { tier, days }: RestoreSettings,
  requireVisible: (path: string) => Promise<void>,
): NonNullable<ObjectStorage["restore"]> {
  /** Epoch milliseconds at which each was asked for. */
  const requested = new Map<string, number>();

  async function head(path: string): Promise<HeadObjectCommandOutput> {
    try {
      const command = new driver.HeadObjectCommand({ Bucket: bucket, Key: `${prefix}${path}` });
      const found = await client.send(command);
      await requireVisible(path);
      return found;
    } catch (error) {
      if (error instanceof AppError) throw error;
      if (s3Failure(error).status === 404) throw new AppError("object_missing", { path }, { cause: error });
      throw storageFailure(error, path);
    }
  }

  return {
    async state(path): Promise<Availability> {
      const { StorageClass = "STANDARD", ArchiveStatus, Restore } = await head(path);
      const hours = HOURS[ArchiveStatus ?? StorageClass];
      // The header says that a copy is there, or on its way; without it, none was asked for, or it has expired.
      const isOngoing = /ongoing-request="true"/.test(Restore ?? "");
      if (!hours || (Restore !== undefined && !isOngoing)) return { online: true };
      const askedAt = isOngoing ? requested.get(path) : undefined;
      const readyAt = askedAt === undefined ? {} : { readyAt: askedAt + hours[tier] * HOUR_MS };
      return { online: false, restoring: isOngoing, ...readyAt };
    },

    async request(path) {
      const { StorageClass, ArchiveStatus } = await head(path);
      // Deep archives know no haste.
      const isDeep = (ArchiveStatus ?? StorageClass ?? "").startsWith("DEEP");
      const Tier = TIERS[isDeep && tier === "expedited" ? "standard" : tier];
      // What Intelligent-Tiering has archived comes back for good.
      const RestoreRequest = { ...(ArchiveStatus === undefined && { Days: days }), GlacierJobParameters: { Tier } };
      try {
        await client.send(new driver.RestoreObjectCommand({ Bucket: bucket, Key: `${prefix}${path}`, RestoreRequest }));
      } catch (error) {
        if (s3Failure(error).reason !== "RestoreAlreadyInProgress") throw storageFailure(error, path);
      }
      if (requested.size >= REMEMBERED) requested.clear();
      if (!requested.has(path)) requested.set(path, Date.now());
    },
  };
}
