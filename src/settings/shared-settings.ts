import type { z } from "zod";
import { below, folder, type Place, place } from "./setting-forms.ts";

/** Settings of what every node must see; a part of `SETTINGS` in `config.ts`. */
export const SHARED_SETTINGS = {
  LONGSHORE_SHARED_URL: place
    .optional()
    .describe(
      "What several nodes share beside the database and the archive (uploads under way, packages, staged copies, outputs of runs): a folder that all of them mount, or s3://bucket/folder. The data folder when not set, which will do for one node.",
    ),
  LONGSHORE_CKANPACKAGER_STORE: folder
    .optional()
    .describe("Folder the ZIPs of packages lie in, flat, when it is not packages in LONGSHORE_SHARED_URL."),
} as const;

export function sharedConfig(e: z.output<z.ZodObject<typeof SHARED_SETTINGS>>, dataDir: string) {
  const shared: Place = e.LONGSHORE_SHARED_URL ?? { kind: "folder", path: dataDir };
  const packages: Place =
    e.LONGSHORE_CKANPACKAGER_STORE === undefined
      ? below(shared, "packages")
      : { kind: "folder", path: e.LONGSHORE_CKANPACKAGER_STORE };
  return {
    shared: {
      /** Whether other nodes may be at work there. */
      isShared: e.LONGSHORE_SHARED_URL !== undefined,
      place: shared,
      uploads: below(shared, "uploads"),
      packages,
      staging: below(shared, "staging"),
      runs: below(shared, "runs"),
    },
  } as const;
}
