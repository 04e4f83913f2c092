import { z } from "zod";
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
  LONGSHORE_S3_ENDPOINT: httpUrl
    .optional()
    .describe("Server that these buckets are on, when it is not Amazon's: https://s3.example.org."),
  LONGSHORE_S3_REGION: text.prefault("us-east-1").describe("Region that requests to it are signed for."),
  LONGSHORE_S3_ACCESS_KEY_ID: text
    .optional()
    .describe("Access key for it. What the AWS SDK finds on the machine when not set."),
  LONGSHORE_S3_SECRET_ACCESS_KEY: text.optional().describe("The access key's secret.").meta({ secret: true }),
  LONGSHORE_S3_PATH_STYLE: z
    .enum(["true", "false"])
    .optional()
    .describe(
      "Whether buckets are named in the path, not in the host's name: true or false. true when not set and there is an endpoint.",
    ),
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
  const { LONGSHORE_S3_ACCESS_KEY_ID: accessKeyId, LONGSHORE_S3_SECRET_ACCESS_KEY: secretAccessKey } = e;
  const hasKey = accessKeyId !== undefined && secretAccessKey !== undefined;
  const hasEndpoint = e.LONGSHORE_S3_ENDPOINT !== undefined;
  return {
    /** URLs. */
    offloadStores: e.LONGSHORE_OFFLOAD_STORES,
    /** As in `bucket/folder`. */
    crawlBuckets: e.LONGSHORE_CRAWL_BUCKETS,
    s3: {
      endpoint: e.LONGSHORE_S3_ENDPOINT,
      region: e.LONGSHORE_S3_REGION,
      credentials: hasKey ? { accessKeyId, secretAccessKey } : undefined,
      pathStyle: e.LONGSHORE_S3_PATH_STYLE === undefined ? hasEndpoint : e.LONGSHORE_S3_PATH_STYLE === "true",
    },
    globus: {
      token: e.LONGSHORE_GLOBUS_TOKEN,
      url: e.LONGSHORE_GLOBUS_URL,
      collection: e.LONGSHORE_GLOBUS_COLLECTION,
      folder: e.LONGSHORE_GLOBUS_FOLDER ?? "/",
    },
  } as const;
}
