import { type Selectable, sql } from "kysely";
import type { PackageId } from "../../core/ids.ts";
import type { Order, Package } from "../../core/packages/package.ts";
import { fromJson, type PackageOrderRow, type PackageRow } from "./tables.ts";

export type SomePackage = Selectable<PackageRow>;
export type SomeOrder = Selectable<PackageOrderRow>;

/** Spelled out: an index of some rows is used only where the database sees the value, not a parameter. */
export const LIVE = sql.lit(1);
export const READY = sql.lit("ready" as const);
export const OVER = [sql.lit("failed" as const), sql.lit("expired" as const)];

export function packageOf(row: SomePackage): Package {
  return {
    id: row.id,
    cacheKey: row.cacheKey,
    recipe: fromJson(row.recipe),
    status: row.status,
    lane: row.lane,
    job: row.job,
    fileName: row.fileName,
    sizeBytes: row.sizeBytes,
    digest: row.digest,
    rowCount: row.rowCount,
    members: fromJson(row.members),
    error: row.error && fromJson(row.error),
    freshUntil: row.freshUntil,
    createdAt: row.createdAt,
    finishedAt: row.finishedAt,
    lastUsedAt: row.lastUsedAt,
  };
}

export function orderOf(row: SomeOrder, packageId: PackageId): Order {
  return {
    id: row.id,
    packageId,
    owner: row.owner,
    email: row.email,
    webhook: row.webhook,
    door: row.door === 1,
    linkExpiresAt: row.linkExpiresAt,
    linkGeneration: row.linkGeneration,
    downloads: row.downloads,
    createdAt: row.createdAt,
    toldAt: row.toldAt,
    refused: row.refused && fromJson(row.refused),
  };
}
