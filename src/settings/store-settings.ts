import type { z } from "zod";
import { S3_SETTINGS, s3Config } from "./s3-settings.ts";
import { folder, httpUrl, list, refuse, text } from "./setting-forms.ts";

const STORE = /^(s3:\/\/[a-z0-9][a-z0-9.-]{1,62}|globus:\/\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(\/|$)/i;

/** Settings of stores beyond this machine; a part of `CRAWL_SETTINGS`. */
export const STORE_SETTINGS = {
  LONGSHORE_OFFLOAD_STORES: list((input, context) =>
    STORE.test(input) && URL.canParse(input)
      ? input
      : refuse(context, "expected addresses like s3://bucket/folder or globus://collection-id/folder"),
  )
    .prefault("")
    .describe(
      "Stores beyond this machine, separated by commas, below which offloads may write and what is moved may be removed: s3://bucket/folder, globus://collection-id/folder.",
    ),
  LONGSHORE_CRAWL_BUCKETS: list((input, context) =>
    /^[a-z0-9][a-z0-9.-]{1,62}(\/[^/]+)*\/?$/.test(input)
      ? input.replace(/\/$/, "")
      : refuse(context, "expected buckets like scans or scans/2024"),
  )
    .prefault("")
    .describe("Buckets in S3, or folders in them (scans/2024), separated by commas, that may be crawled."),
  ...S3_SETTINGS,
  LONGSHORE_GLOBUS_TOKEN: text
    .optional()
    .describe("Token for the Globus Transfer API: opens every collection that its identity may read.")
    .meta({ secret: true }),
  LONGSHORE_GLOBUS_URL: httpUrl
    .transform((input) => input.replace(/\/+$/, ""))
    .prefault("https://transfer.api.globus.org/v0.10")
    .describe("Address of the Globus Transfer API."),
  LONGSHORE_GLOBUS_COLLECTION: text
    .optional()
    .describe(
      "Id of the Globus collection that is this machine's own: the xtract door takes it for folders of the server, and files of other collections come by it.",
    ),
  LONGSHORE_GLOBUS_FOLDER: folder
    .optional()
    .describe("Folder of this machine that its own Globus collection shows as its top; / when not set."),
} as const;

export function storeConfig(e: z.output<z.ZodObject<typeof STORE_SETTINGS>>) {
  return {
    /** URLs. */
    offloadStores: e.LONGSHORE_OFFLOAD_STORES,
    /** As in `bucket/folder`. */
    crawlBuckets: e.LONGSHORE_CRAWL_BUCKETS,
    s3: s3Config(e),
    globus: {
      token: e.LONGSHORE_GLOBUS_TOKEN,
      url: e.LONGSHORE_GLOBUS_URL,
      collection: e.LONGSHORE_GLOBUS_COLLECTION,
      folder: e.LONGSHORE_GLOBUS_FOLDER ?? "/",
    },
  } as const;
}
