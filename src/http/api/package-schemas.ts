import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import { orderId } from "../../core/ids.ts";
import { LANES } from "../../core/jobs/job.ts";
import { type OrderRequest, TABLE_FORMATS } from "../../core/packages/package.ts";
import type { OrderedPackage } from "../../core/packages/packages.ts";
import type { Cell } from "../../core/packages/rows.ts";
import type { DayTotals, ErrorEntry, RequestEntry, Totals } from "../../core/packages/statistics.ts";
import { timeOrNull } from "./schemas.ts";

/** What the wire says of packages, with the functions that make it from ours. */

const STATUSES = ["building", "ready", "failed", "expired"] as const;
/** Filters may list thousands of values. */
export const ORDER_BODY_LIMIT_BYTES = 4 * 1024 ** 2;

const Time = z.iso.datetime().describe("ISO 8601 in UTC.");
const Address = z.string().max(4096);
const Text = z.string().max(64 * 1024);
/** Whatever JSON has brought: the portal judges it. */
const Json = z.custom<Cell>();

export const PackageParams = z.strictObject({
  id: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, "is not the id of a package")
    .transform(orderId)
    .describe("The package's id."),
});

const COMMON = {
  resourceId: z.string().min(1).max(255).describe("At the portal; statistics are counted by it."),
  manifest: z.boolean().default(true).describe("Whether manifest.json lies beside the data."),
  doi: z.string().max(255).exactOptional().describe("Named in the notice, to be cited."),
};
const ROWS = {
  ...COMMON,
  apiUrl: Address.describe("Address of the portal's datastore_search."),
  filters: z
    .record(z.string(), Json)
    .exactOptional()
    .describe("Value, or list of values of which one has to be there, by field."),
  q: z
    .union([Text, z.record(z.string(), Text)])
    .exactOptional()
    .describe("Full text search: in all fields, or by field."),
  plain: Text.exactOptional(),
  language: Text.exactOptional(),
  fields: Text.exactOptional().describe("Names, separated by commas: which columns, and in which order."),
  sort: Text.exactOptional(),
  limit: z.int().positive().exactOptional().describe("Rows at most; all of them when left out."),
  offset: z.int().nonnegative().exactOptional(),
};
const RECIPES = {
  datastore: { kind: z.literal("datastore"), ...ROWS, format: z.enum(TABLE_FORMATS).default("csv") },
  dwca: {
    kind: z.literal("dwca"),
    ...ROWS,
    format: z.enum(["csv", "tsv"]).default("csv"),
    eml: z
      .string()
      .max(1024 ** 2)
      .exactOptional()
      .describe("Template of eml.xml."),
    forGbif: z.boolean().exactOptional().describe("Adds gbif.json."),
  },
  url: {
    kind: z.literal("url"),
    ...COMMON,
    resourceUrl: Address.describe("Address of the file."),
    apiUrl: Address.exactOptional().describe("Of the portal that the file is at, when it is to be shown the key."),
  },
};

/** How the outcome is told; without any of it, by asking. */
const REQUESTER = {
  key: z
    .string()
    .min(1)
    .max(4096)
    .exactOptional()
    .describe("The user's key at the portal. Sent there and nowhere else, and never shown."),
  email: z.string().max(254).exactOptional().describe("Told by mail."),
  webhook: Address.exactOptional().describe("Told by a signed POST."),
};

/** What `POST /packages` takes. */
export const OrderBody = z.discriminatedUnion("kind", [
  z.strictObject({ ...RECIPES.datastore, ...REQUESTER }),
  z.strictObject({ ...RECIPES.dwca, ...REQUESTER }),
  z.strictObject({ ...RECIPES.url, ...REQUESTER }),
]);

export function orderRequest(body: z.output<typeof OrderBody>, owner: string): OrderRequest {
  const { key, email, webhook, ...recipe } = body;
  return {
    recipe: recipe.kind === "url" ? { ...recipe, format: "csv" } : recipe,
    ...(key === undefined ? {} : { key }),
    ...(email === undefined ? {} : { email }),
    ...(webhook === undefined ? {} : { webhook }),
    owner,
    door: false,
  };
}

const ErrorSchema = z.object({
  code: z.string().describe("Stable; explained at /docs/errors."),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});

export const PackageSchema = z
  .object({
    id: z.string(),
    owner: z.string().describe("Who ordered it."),
    recipe: z.record(z.string(), z.unknown()).describe("What was ordered, without the key."),
    status: z.enum(STATUSES),
    lane: z.enum(LANES),
    job: z.int().nullable().describe("The job that makes it; equal orders share one."),
    fileName: z.string().nullable().describe("This and the next ones are set when it is ready."),
    sizeBytes: z.int().nullable(),
    sha256: z.string().nullable().describe("Of the ZIP, lower-case hex."),
    rows: z.int().nullable(),
    members: z.array(z.object({ name: z.string(), sizeBytes: z.int(), crc32: z.string().describe("Hex.") })),
    error: ErrorSchema.nullable().describe("Why it could not be made."),
    email: z.string().nullable(),
    webhook: z.string().nullable(),
    link: z
      .string()
      .nullable()
      .describe(
        "Opens without a token; null until it is ready, and when it was revoked. Its folder is a page about it.",
      ),
    linkExpiresAt: Time.nullable(),
    downloads: z.int().describe("Begun with the first byte, by link or not."),
    createdAt: Time,
    finishedAt: Time.nullable(),
    toldAt: Time.nullable().describe("When the requester was told."),
    refused: ErrorSchema.nullable().describe("Why the requester will never be told."),
  })
  .meta({ id: "Package", description: "One order of a ZIP made from a resource of a portal." });

export function packageOnWire({ order, package: made, link }: OrderedPackage): z.output<typeof PackageSchema> {
  return {
    id: order.id,
    owner: order.owner,
    recipe: { ...made.recipe },
    status: made.status,
    lane: made.lane,
    job: made.job,
    fileName: made.fileName,
    sizeBytes: made.sizeBytes,
    sha256: made.digest,
    rows: made.rowCount,
    members: made.members.map(({ crc32, ...member }) => ({ ...member, crc32: crc32.toString(16).padStart(8, "0") })),
    error: made.error,
    email: order.email,
    webhook: order.webhook,
    link,
    linkExpiresAt: timeOrNull(order.linkExpiresAt),
    downloads: order.downloads,
    createdAt: isoTime(order.createdAt),
    finishedAt: timeOrNull(made.finishedAt),
    toldAt: timeOrNull(order.toldAt),
    refused: order.refused,
  };
}

const COUNTS = {
  emails: z.int().describe("Addresses, each counted when it was seen for the first time."),
  requests: z.int().describe("Orders that were served."),
  errors: z.int().describe("Orders that were not."),
  bytes: z.int().describe("Of the ZIPs of those served."),
  rows: z.int(),
};

export const PackageStatisticsSchema = z
  .object({
    totals: z.object(COUNTS).describe("Of all time."),
    days: z
      .array(z.object({ day: z.iso.date().describe("In UTC."), ...COUNTS }))
      .describe("Days on which something was counted, oldest first."),
  })
  .meta({ id: "PackageStatistics" });

const NOTHING: Totals = { emails: 0, requests: 0, errors: 0, bytes: 0, rows: 0 };

export function statisticsOnWire(
  totals: Totals | undefined,
  days: readonly DayTotals[],
): z.output<typeof PackageStatisticsSchema> {
  return {
    totals: { ...(totals ?? NOTHING) },
    days: days.map(({ day, ...counts }) => ({ day: isoTime(day).slice(0, 10), ...counts })),
  };
}

export const ResourceTotalsSchema = z.object({ resourceId: z.string(), ...COUNTS }).meta({ id: "ResourceTotals" });

const ENTRY = {
  package: z.string().describe("Its id; forgotten some time after it is over."),
  at: Time,
  resourceId: z.string(),
  email: z.string().nullable().describe("Or what stands for it, where addresses are not kept."),
};

export const ServedSchema = z
  .object({
    ...ENTRY,
    domain: z.string().nullable(),
    limit: z.string().nullable().describe("As it was asked for."),
    sizeBytes: z.int(),
    rows: z.int(),
  })
  .meta({ id: "PackageServed" });

export function servedOnWire({ order, at, count, rowCount, ...same }: RequestEntry): z.output<typeof ServedSchema> {
  return { package: order, at: isoTime(at), ...same, limit: count, rows: rowCount };
}

export const NotServedSchema = z.object({ ...ENTRY, message: z.string() }).meta({ id: "PackageNotServed" });

export function notServedOnWire({ order, at, ...same }: ErrorEntry): z.output<typeof NotServedSchema> {
  return { package: order, at: isoTime(at), ...same };
}
