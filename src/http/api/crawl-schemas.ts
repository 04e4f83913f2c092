import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import { CRAWL_STATUSES, type Crawl } from "../../core/crawl/crawl.ts";
import type { EndpointProblem } from "../../core/crawl/crawl-store.ts";
import type { CrawlRequest, FeedItem } from "../../core/crawl/crawls.ts";
import { GROUPER_NAMES } from "../../core/crawl/grouping/groups.ts";
import { crawlId } from "../../core/ids.ts";
import { FileProblemSchema, timeOrNull } from "./schemas.ts";

/** What the wire says of crawls, with the functions that make it from ours. */

const MAX_ENDPOINTS = 100;
const MAX_FOLDERS = 10_000;
/** Thousands of folders may be named. */
export const CRAWL_BODY_LIMIT_BYTES = 8 * 1024 ** 2;

const Time = z.iso.datetime().describe("ISO 8601 in UTC.");
export const UuidId = z.uuid("is not an id of this server");
/** As the store has it: `/` between folders, without a leading one. */
const StorePath = z.string().describe("Below the endpoint's address.");

export const CrawlParams = z.strictObject({ id: UuidId.transform(crawlId).describe("The crawl's id.") });

const EndpointBody = z.strictObject({
  url: z
    .string()
    .min(1)
    .max(4096)
    .describe(
      "file:///folder, or /folder for short; https://host/index/; archive: for Longshore's own; s3://bucket/prefix; globus://collection/folder.",
    ),
  folders: z
    .array(z.string().max(4096))
    .min(1)
    .max(MAX_FOLDERS)
    .exactOptional()
    .describe("Below the address; all of it when left out."),
  grouper: z
    .string()
    .max(64)
    .exactOptional()
    .describe(`Which files belong together: ${GROUPER_NAMES.join(", ")}. The first when left out.`),
  pattern: z.string().max(1024).exactOptional().describe("Of the grouper regex: files whose named groups agree."),
  hidden: z.boolean().exactOptional().describe("Whether names that begin with a dot are crawled; true when left out."),
});

export const CrawlRequestBody = z.strictObject({
  endpoints: z.array(EndpointBody).min(1).max(MAX_ENDPOINTS),
  previous: UuidId.transform(crawlId)
    .exactOptional()
    .describe("An earlier crawl of the same endpoints: files are told apart as new, changed, same and gone."),
});

export const crawlRequest = ({ endpoints, previous }: z.output<typeof CrawlRequestBody>): CrawlRequest => ({
  endpoints,
  previous,
});

const EndpointSchema = z
  .object({
    url: z.string(),
    folders: z.array(z.string()).describe('Below the address; "" is all of it.'),
    grouper: z.string(),
    pattern: z.string().nullable(),
    hidden: z.boolean(),
  })
  .meta({ id: "Endpoint", description: "A store to walk, and how." });

export const CrawlSchema = z
  .object({
    id: z.uuid(),
    owner: z.string().describe("Who started it."),
    status: z
      .enum(CRAWL_STATUSES)
      .describe("partial: it came to its end, and the problems say what could not be listed or read."),
    endpoints: z.array(EndpointSchema),
    counts: z
      .object({
        directories: z.int(),
        files: z.int(),
        bytes: z.int(),
        groups: z.int(),
        families: z.int(),
        others: z.int().describe("Links, sockets, devices and pipes: listed, never followed or read."),
        errors: z.int(),
      })
      .describe("They rise while it runs."),
    previous: z.uuid().nullable(),
    changes: z
      .object({ new: z.int(), changed: z.int(), same: z.int(), gone: z.int() })
      .nullable()
      .describe("Against the previous crawl; null without one."),
    job: z.int().describe("Its events: /api/v1/jobs/{id}/events."),
    error: z
      .object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()) })
      .nullable()
      .describe("Why it failed."),
    createdAt: Time,
    startedAt: Time.nullable(),
    finishedAt: Time.nullable(),
  })
  .meta({ id: "Crawl", description: "One walk over one or more stores." });

export function crawlOnWire(crawl: Crawl): z.output<typeof CrawlSchema> {
  return {
    ...crawl,
    endpoints: crawl.endpoints.map((endpoint) => ({ ...endpoint, folders: [...endpoint.folders] })),
    counts: { ...crawl.counts },
    changes: crawl.changes && { ...crawl.changes },
    createdAt: isoTime(crawl.createdAt),
    startedAt: timeOrNull(crawl.startedAt),
    finishedAt: timeOrNull(crawl.finishedAt),
  };
}

export const CrawlProblemSchema = FileProblemSchema.extend({
  endpoint: z.int().describe("Which of the crawl's endpoints, counted from 0."),
}).meta({ id: "CrawlProblem", description: "Something that could not be listed or read." });

export function crawlProblemOnWire({
  number: _,
  ...problem
}: EndpointProblem & { readonly number: number }): z.output<typeof CrawlProblemSchema> {
  return problem;
}

export const CrawledFileSchema = z
  .object({
    endpoint: z.int().describe("Which of the crawl's endpoints, counted from 0."),
    path: StorePath,
    file: z.uuid().nullable().describe("This and the next ones are null of a file that is gone."),
    family: z.uuid().nullable().describe("Files of one family travel together."),
    sizeBytes: z.int().nullable(),
    modifiedAt: Time.nullable().describe("null, too, where the store does not say."),
    mode: z.string().nullable().describe("Permissions of a local file, in octal digits."),
    change: z
      .enum(["new", "changed", "same", "gone"])
      .nullable()
      .describe("Against the previous crawl; null without one."),
    crawledAt: Time,
  })
  .meta({ id: "CrawledFile", description: "A file as the crawl found it." });

export function crawledFileOnWire(item: FeedItem): z.output<typeof CrawledFileSchema> {
  return {
    ...item,
    modifiedAt: timeOrNull(item.modifiedAt),
    mode: item.mode === null ? null : item.mode.toString(8).padStart(4, "0"),
    crawledAt: isoTime(item.crawledAt),
  };
}
