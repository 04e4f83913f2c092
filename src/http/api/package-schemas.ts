import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import { orderId } from "../../core/ids.ts";
import { LANES } from "../../core/jobs/job.ts";
import type { OrderedPackage } from "../../core/packages/packages.ts";
import type { DayTotals, ErrorEntry, RequestEntry, Totals } from "../../core/packages/statistics.ts";
import { timeOrNull } from "./schemas.ts";

/** What the wire says of packages, with the functions that make it from ours. */

const STATUSES = ["building", "ready", "failed", "expired"] as const;
/** Filters may list thousands of values. */
export const ORDER_BODY_LIMIT_BYTES = 4 * 1024 ** 2;

const Time = z.iso.datetime().describe("ISO 8601 in UTC.");
export const PackageParams = z.strictObject({
  id: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, "is not the id of a package")
    .transform(orderId)
    .describe("The package's id."),
});

const ErrorSchema = z.object({
  code: z.string().describe("Stable; explained at /docs/errors."),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});

export const PackagePreviewSchema = z
  .object({
    columns: z.array(z.string()).readonly(),
    rows: z
      .array(z.array(z.string()).readonly())
      .readonly()
      .describe("The first ten at most, as a file of text would have them."),
    rowCount: z.int().nullable().describe("Of all that would be packed; `null` when the portal does not say."),
  })
  .meta({ id: "PackagePreview", description: "What an order would bring." });

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
