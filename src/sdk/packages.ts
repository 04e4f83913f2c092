import { type Connection, jsonBody, query } from "./connection.ts";
import { type Content, type ContentOptions, contentAt, contentFacts } from "./content.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";
import type { Package, PackageStatistics, Recipe } from "./types.ts";
import { type WatchOptions, watch } from "./watch.ts";

export interface NewPackage extends Recipe {
  /** The user's key at the portal; only ever sent there. */
  readonly key?: string;
  /** Told of the outcome by mail. */
  readonly email?: string;
  /** Told of the outcome by a signed POST. */
  readonly webhook?: string;
}

/** Rows of a table that an order would bring. */
export interface PackagePreview {
  readonly columns: readonly string[];
  /** The first ten, as text. */
  readonly rows: readonly (readonly string[])[];
  /** Of all; `null` when the portal does not say. */
  readonly rowCount: number | null;
}

export type PackageWaitOptions = WatchOptions<Package>;

export interface StatisticsQuery {
  /** Only of this one. */
  readonly resourceId?: string;
  /** ISO 8601: days from this one on. */
  readonly from?: string;
  /** ISO 8601: days before this one. */
  readonly to?: string;
}

/** Resources of data portals, packed as ZIPs. */
export interface PackagesApi {
  /** Nothing is fetched before this returns. @throws LongshoreError request_invalid, fetch_refused. */
  order(order: NewPackage, signal?: AbortSignal): Promise<Package>;
  /** What an order would bring, before it is given. @throws LongshoreError as `order`, and portal_refused. */
  preview(order: NewPackage, signal?: AbortSignal): Promise<PackagePreview>;
  get(id: string, signal?: AbortSignal): Promise<Package>;
  /** Newest first. */
  list(options?: PageOptions): Listing<Package>;
  /** Waits until it is made, or is not going to be: look at `status`. */
  wait(id: string, options?: PackageWaitOptions): Promise<Package>;
  /** The link works for as long again, from now. @throws LongshoreError package_gone. */
  renew(id: string): Promise<Package>;
  /** The link and every earlier one stop working. */
  revoke(id: string): Promise<Package>;
  /** What `download` would send, without the bytes. */
  stat(id: string, signal?: AbortSignal): Promise<Pick<Content, "sizeBytes" | "etag">>;
  /** The ZIP, or a part of it. @throws LongshoreError package_not_ready, package_failed, package_gone. */
  download(id: string, options?: ContentOptions): Promise<Content>;
  /** For operators: drops every package, whoever ordered it. */
  clear(): Promise<{ readonly removed: number }>;
  statistics(query?: StatisticsQuery): Promise<PackageStatistics>;
}

export function packagesApi(connection: Connection): PackagesApi {
  const pathOf = (id: string) => `/packages/${encodeURIComponent(id)}`;
  const get = (id: string, signal?: AbortSignal) => connection.json<Package>(pathOf(id), { signal });

  return {
    order: (order, signal) => connection.json<Package>("/packages", jsonBody("POST", order, signal)),
    preview: (order, signal) => connection.json<PackagePreview>("/packages/preview", jsonBody("POST", order, signal)),
    get,
    list: ({ signal, ...page } = {}) => listing<Package>(connection, "/packages", page, signal),
    wait: (id, options = {}) =>
      watch(
        () => get(id, options.signal),
        ({ status }) => status !== "building",
        options,
      ),
    renew: (id) => connection.json<Package>(`${pathOf(id)}/renew`, { method: "POST" }),
    revoke: (id) => connection.json<Package>(`${pathOf(id)}/revoke`, { method: "POST" }),
    stat: (id, signal) => contentFacts(connection, `${pathOf(id)}/download`, signal),
    download: (id, options = {}) => contentAt(connection, `${pathOf(id)}/download`, options),
    clear: () => connection.json<{ removed: number }>("/packages", { method: "DELETE" }),
    statistics: ({ resourceId: resource, ...days } = {}) =>
      connection.json<PackageStatistics>(`/statistics/packages${query({ resource, ...days })}`),
  };
}
