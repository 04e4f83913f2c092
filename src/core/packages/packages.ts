import { randomBytes } from "node:crypto";
import type { Readable } from "node:stream";
import { hasScope, maySee, type Principal } from "../access/access.ts";
import type { KeyRing } from "../access/key-ring.ts";
import type { Links } from "../access/links.ts";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { type JobId, type OrderId, orderId, type PackageId, packageId } from "../ids.ts";
import type { Fetch } from "../outbound/fetch.ts";
import { cacheKeyOf } from "./cache-key.ts";
import { laneOf } from "./cost.ts";
import { evictPackages, type KeepingLimits, removeLeftWork } from "./eviction.ts";
import { type OrderLimits, requireOrder } from "./order-rules.ts";
import type { Order, OrderRequest, Package } from "./package.ts";
import type { PackageFiles } from "./package-files.ts";
import type { Ordered, PackageStore } from "./package-store.ts";
import { previewRows, type RowsPreview } from "./preview.ts";
import type { Telling } from "./telling.ts";

export interface OrderedPackage {
  readonly order: Order;
  readonly package: Package;
  /** Address of the download, signed, ending in the ZIP's name; `null` until the package is ready, or when revoked. */
  readonly link: string | null;
}

export interface Packages {
  /**
   * Takes an order. An equal package that is fresh, or being made, is shared; else a job is queued, in the fast or the slow
   * lane by what it will cost. Nothing is fetched before this returns.
   * @throws AppError request_invalid, fetch_refused.
   */
  order(request: OrderRequest): Promise<OrderedPackage>;
  /**
   * What an order would bring, before it is given.
   * @throws AppError as `order`, and as {@link previewRows}.
   */
  preview(request: OrderRequest): Promise<RowsPreview>;
  /** @throws AppError package_unknown, also for another's order. */
  get(principal: Principal, id: OrderId): Promise<OrderedPackage>;
  /** Newest first. @throws AppError package_unknown when `before` is not known. */
  list(
    principal: Principal,
    page: { readonly before?: OrderId; readonly limit: number },
  ): Promise<readonly OrderedPackage[]>;
  /**
   * A new expiry for the order's link, from now: every link of it that was not revoked works again.
   * @throws AppError package_unknown, package_gone when the file is no more, package_not_ready.
   */
  renew(principal: Principal, id: OrderId): Promise<OrderedPackage>;
  /** The link and every earlier one stop working. @throws AppError package_unknown. */
  revoke(principal: Principal, id: OrderId): Promise<OrderedPackage>;
  /**
   * What a link leads to.
   * @throws AppError link_invalid, package_gone, package_not_ready.
   */
  follow(token: string): Promise<OrderedPackage & { readonly file: PackageFile }>;
  /**
   * What a requester's own order leads to, without a link.
   * @throws AppError package_unknown, package_gone, package_not_ready, package_failed.
   */
  file(principal: Principal, id: OrderId): Promise<PackageFile>;
  /** Counts a download that began with the first byte. */
  counted(id: OrderId): Promise<void>;
  /**
   * Drops every package, ready ones too: links lead nowhere afterwards. What is being made is finished for those who wait,
   * and shared with nobody else. @returns how many files went.
   */
  clear(): Promise<number>;
  /** Removes what is too old, and the least recently used when space is short. Run now and then. */
  evict(signal: AbortSignal): Promise<readonly PackageId[]>;
  /** Removes what dead processes have left of their work where this one works. Run now and then by all that make packages. */
  tidyWork(signal: AbortSignal): Promise<void>;
}

export interface PackageFile {
  readonly fileName: string;
  readonly sizeBytes: number;
  /** Strong, with its quotes. */
  readonly etag: string;
  /** Epoch milliseconds. */
  readonly modifiedAt: number;
  open(range?: { readonly start: number; readonly end: number }): Promise<Readable>;
}

export interface PackageParts {
  readonly store: PackageStore;
  readonly files: PackageFiles;
  readonly keys: KeyRing;
  readonly fetch: Fetch;
  readonly telling: Telling;
  readonly links: Links;
  readonly clock: Clock;
  readonly nextJobId: () => Promise<JobId>;
  readonly limits: OrderLimits;
  readonly keeping: KeepingLimits;
  /** More rows than this are made in the slow lane. */
  readonly slowRows: number;
}

/** What jobs of this kind read as their input. */
export const PACKAGE_JOB = "package";

export function packageService(parts: PackageParts): Packages {
  const { store, files, keys, telling, links, clock, keeping } = parts;

  const shown = (ordered: Ordered): OrderedPackage => ({
    order: ordered.order,
    package: ordered.package,
    link: telling.linkOf(ordered.order, ordered.package),
  });

  async function seen(principal: Principal, id: OrderId): Promise<Ordered> {
    const found = await store.get(id);
    if (!found || !maySee(principal, found.order.owner)) throw new AppError("package_unknown", { id });
    return found;
  }

  /** @throws AppError package_gone, package_not_ready, package_failed. */
  async function fileOf({ order, package: made }: Ordered): Promise<PackageFile> {
    const { status, fileName, digest, finishedAt } = made;
    if (status === "building") throw new AppError("package_not_ready", { id: order.id });
    if (status === "failed") throw new AppError("package_failed", { id: order.id, reason: made.error?.message ?? "" });
    const found = status === "ready" && fileName !== null ? await files.stat(fileName) : undefined;
    // Somebody may tidy the folder up without asking us.
    if (!found || fileName === null || found.sizeBytes !== made.sizeBytes)
      throw new AppError("package_gone", { id: order.id });
    return {
      fileName,
      sizeBytes: found.sizeBytes,
      etag: `"${digest}"`,
      modifiedAt: finishedAt ?? found.modifiedAt,
      open: (range) => files.open(fileName, range),
    };
  }

  /** Lets go of a ready package whose file is no more, so that nobody gets a link to nothing. */
  async function expireLost(cacheKey: string): Promise<void> {
    const found = await store.live(cacheKey, clock.now());
    if (found?.status !== "ready" || found.fileName === null || (await files.stat(found.fileName))) return;
    await store.expire(found.id, clock.now(), false);
  }

  return {
    async preview(request) {
      requireOrder(request, parts.limits);
      return previewRows(parts, request);
    },

    async order(request) {
      requireOrder(request, parts.limits);
      const { recipe, key, email, webhook, owner, door } = request;
      const cacheKey = cacheKeyOf(request, keys);
      await expireLost(cacheKey);
      const now = clock.now();
      const id = packageId(randomId());
      const lane = laneOf(request, parts.slowRows);
      const job = {
        id: await parts.nextJobId(),
        kind: PACKAGE_JOB,
        lane,
        owner,
        input: { package: id },
        idempotencyKey: null,
        fedUntil: null,
        now,
      };
      const ordered = await store.order(
        { id: orderId(randomId()), owner, email: email ?? null, webhook: webhook ?? null, door },
        { id, cacheKey, recipe, lane, sealedKey: key === undefined ? null : keys.seal(key), job },
        now + keeping.keepMs,
        now,
        telling.ready,
      );
      return shown(ordered);
    },

    get: async (principal, id) => shown(await seen(principal, id)),

    async list(principal, page) {
      const own = hasScope(principal, "operate") ? {} : { owner: principal.name };
      return (await store.list({ ...page, ...own })).map(shown);
    },

    async renew(principal, id) {
      await fileOf(await seen(principal, id));
      const now = clock.now();
      const renewed = await store.renew(id, now + keeping.keepMs, now);
      if (!renewed) throw new AppError("package_gone", { id });
      return shown(renewed);
    },

    async revoke(principal, id) {
      await seen(principal, id);
      const revoked = await store.revoke(id);
      if (!revoked) throw new AppError("package_unknown", { id });
      return shown(revoked);
    },

    async follow(token) {
      const claim = links.read("order", token);
      if (!claim) throw new AppError("link_invalid");
      const found = await store.get(orderId(claim.id));
      // The order decides, not the link's own date: so a renewal reaches the links that were sent out.
      const expiresAt = found?.order.linkExpiresAt ?? 0;
      if (!found || found.order.linkGeneration !== claim.generation || expiresAt <= clock.now())
        throw new AppError("package_gone");
      return { ...shown(found), file: await fileOf(found) };
    },

    file: async (principal, id) => fileOf(await seen(principal, id)),
    counted: (id) => store.countDownload(id, clock.now()),

    async clear() {
      await store.retireAll();
      for (let some = await store.leastUsed(PAGE); some.length > 0; some = await store.leastUsed(PAGE))
        for (const { id } of some) await store.expire(id, clock.now(), false);
      let removed = 0;
      for await (const { fileName } of files.list()) {
        if (!fileName.endsWith(".zip") || (await store.holds(fileName))) continue;
        await files.remove(fileName);
        removed++;
      }
      return removed;
    },

    evict: (signal) => evictPackages({ store, files, clock, keeping }, signal),
    tidyWork: (signal) => removeLeftWork({ store, files }, signal),
  };
}

const PAGE = 100;

/** Its first character is never a dash, which a command line would take for an option. */
function randomId(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return bytes.toString("base64url");
}
