import { join } from "node:path";
import { z } from "zod";
import { type Place, place, text, whole } from "./setting-forms.ts";

/** Settings of where the archive lies; a part of `SETTINGS` in `config.ts`. */
export const ARCHIVE_SETTINGS = {
  LONGSHORE_ARCHIVE_URL: place
    .optional()
    .describe(
      "Where the archive (an OCFL storage root) lies, when it is not the folder archive in the data folder: another folder, or s3://bucket/folder.",
    ),
  LONGSHORE_ARCHIVE_RESTORE: z
    .enum(["expedited", "standard", "bulk"])
    .optional()
    .describe(
      "Tier by which files of an archive in S3 are asked for that lie in a cold storage class (Glacier): expedited, standard or bulk. None are looked for when not set.",
    ),
  LONGSHORE_ARCHIVE_RESTORE_DAYS: text
    .transform((input, context) => whole(input, context, { most: 365 }))
    .prefault("7")
    .describe("Days for which such files can be read then."),
} as const;

export function archiveConfig(e: z.output<z.ZodObject<typeof ARCHIVE_SETTINGS>>, dataDir: string) {
  const { LONGSHORE_ARCHIVE_RESTORE: tier, LONGSHORE_ARCHIVE_RESTORE_DAYS: days } = e;
  const archive: Place = e.LONGSHORE_ARCHIVE_URL ?? { kind: "folder", path: join(dataDir, "archive") };
  return { archive, archiveRestore: tier && { tier, days } } as const;
}
