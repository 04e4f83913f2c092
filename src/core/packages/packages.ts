import type { Readable } from "node:stream";
import type { Principal } from "../access/access.ts";
import type { OrderId, PackageId } from "../ids.ts";
import type { Order, OrderRequest, Package } from "./package.ts";

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
  /** @throws AppError package_unknown, also for another's order. */
  get(principal: Principal, id: OrderId): Promise<OrderedPackage>;
  list(
    principal: Principal,
    page: { readonly before?: OrderId; readonly limit: number },
  ): Promise<readonly OrderedPackage[]>;
  /** A new expiry for the link, from now. @throws AppError package_unknown, package_gone when the file is no more. */
  renew(principal: Principal, id: OrderId): Promise<OrderedPackage>;
  /** The link and every earlier one stop working. */
  revoke(principal: Principal, id: OrderId): Promise<OrderedPackage>;
  /**
   * What a link leads to.
   * @throws AppError link_invalid, package_gone, package_not_ready.
   */
  follow(token: string): Promise<OrderedPackage & { readonly file: PackageFile }>;
  /** What a requester's own order leads to, without a link. */
  file(principal: Principal, id: OrderId): Promise<PackageFile>;
  /** Counts a download that began with the first byte. */
  counted(id: OrderId): Promise<void>;
  /** Drops every package, ready ones too: links lead nowhere afterwards. @returns how many. */
  clear(actor: string): Promise<number>;
  /** Removes what is too old, and the least recently used when space is short. Run now and then. */
  evict(signal: AbortSignal): Promise<readonly PackageId[]>;
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
