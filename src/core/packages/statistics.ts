import { createHmac } from "node:crypto";
import type { KeyRing } from "../access/key-ring.ts";
import type { Clock } from "../clock.ts";
import type { Told } from "../notify/channels.ts";
import type { Order, Package } from "./package.ts";
import type { PackageStore } from "./package-store.ts";

/** Stands for all resources together, as in ckanpackager. */
export const EVERYTHING = "*";
export const DAY_MS = 24 * 3_600_000;

/** One order that was served. */
export interface RequestEntry {
  /** Logged once, however often its requester is told. */
  readonly order: Order["id"];
  readonly at: number;
  readonly resourceId: string;
  /** The address as it was given, or what stands for it; `null` when there was none. */
  readonly email: string | null;
  readonly domain: string | null;
  /** The `limit` that was asked for, as text. */
  readonly count: string | null;
  readonly sizeBytes: number;
  readonly rowCount: number;
}

/** One order that was not. */
export interface ErrorEntry extends Pick<RequestEntry, "order" | "at" | "resourceId" | "email"> {
  readonly message: string;
}

export interface Totals {
  /** Addresses when they were seen for the first time. */
  readonly emails: number;
  readonly requests: number;
  readonly errors: number;
  readonly bytes: number;
  readonly rows: number;
}

export interface DayTotals extends Totals {
  /** Its first moment in UTC, epoch milliseconds. */
  readonly day: number;
}

export interface EntryFilter {
  readonly resourceId?: string;
  readonly email?: string;
  readonly offset: number;
  readonly limit: number;
}

export interface DayFilter {
  /** All of them when left out. */
  readonly resourceId?: string;
  /** Days that begin in this time, epoch milliseconds: `from` included, `until` not. */
  readonly from: number;
  readonly until: number;
}

/** Adapters: `adapters/db/package-statistics.ts`. Contract: `test/conformance/package-store.ts`. */
export interface StatisticsStore {
  /** Counts an entry whose order is not logged yet; any other is passed over. */
  addRequest(entry: RequestEntry): Promise<void>;
  addError(entry: ErrorEntry): Promise<void>;
  /** By resource, and of {@link EVERYTHING}; only one of them when it is named, none when nothing was counted for it. */
  totals(resourceId?: string): Promise<Readonly<Record<string, Totals>>>;
  /** Newest first; of one moment, the last entered first. */
  requests(filter: EntryFilter): Promise<readonly RequestEntry[]>;
  errors(filter: EntryFilter): Promise<readonly ErrorEntry[]>;
  /** Days on which something was counted, oldest first. */
  days(filter: DayFilter): Promise<readonly DayTotals[]>;
}

export interface Statistics extends Pick<StatisticsStore, "totals" | "requests" | "errors" | "days"> {
  /** As it will be logged. */
  requestOf(order: Order, made: Package): RequestEntry;
  errorOf(order: Order, made: Package, message: string): ErrorEntry;
  /** What channels call: an order is logged when its requester has been told, as ckanpackager does. */
  readonly told: Told;
}

export interface StatisticsParts {
  readonly store: StatisticsStore;
  readonly packages: Pick<PackageStore, "get" | "told">;
  readonly keys: KeyRing;
  readonly clock: Clock;
  /**
   * Logs what stands for an address in place of it: an HMAC-SHA-256 (RFC 2104) of its lower-case form under a key of this
   * server. Equal addresses are counted as one, and can be looked for; nobody gets from it to the address without the key.
   */
  readonly anonymous: boolean;
}

/** Counts of what was packed, for whom and how much, as ckanpackager's users know them; and bytes, rows and days. */
export function statistics({ store, packages, keys, clock, anonymous }: StatisticsParts): Statistics {
  const key = keys.derive("statistics");
  const shown = (email: string) =>
    anonymous ? createHmac("sha256", key).update(email.toLowerCase()).digest("hex") : email;
  const hidden = ({ email, ...filter }: EntryFilter) => ({
    ...filter,
    ...(email !== undefined && { email: shown(email) }),
  });

  const common = (order: Order, { recipe }: Package) => ({
    order: order.id,
    at: clock.now(),
    resourceId: recipe.resourceId,
    email: order.email === null ? null : shown(order.email),
  });

  const self: Statistics = {
    requestOf: (order, made) => ({
      ...common(order, made),
      domain: order.email === null ? null : domainOf(order.email),
      count: made.recipe.limit === undefined ? null : String(made.recipe.limit),
      sizeBytes: made.sizeBytes ?? 0,
      rowCount: made.rowCount ?? 0,
    }),
    errorOf: (order, made, message) => ({ ...common(order, made), message }),

    async told(id, outcome, refused) {
      const found = await packages.get(id);
      if (!found) return; // forgotten long ago
      // In this order: a notice that is repeated makes up for what a crash has left out.
      if (outcome === "ready" && refused === null) await store.addRequest(self.requestOf(found.order, found.package));
      if (outcome === "ready" && refused !== null)
        await store.addError(self.errorOf(found.order, found.package, refused.message));
      await packages.told(id, refused, clock.now());
    },

    totals: store.totals,
    requests: (filter) => store.requests(hidden(filter)),
    errors: (filter) => store.errors(hidden(filter)),
    days: store.days,
  };
  return self;
}

/** What follows the first `@`, in lower case; everything when there is none. */
export function domainOf(email: string): string {
  return email.slice(email.indexOf("@") + 1).toLowerCase();
}
