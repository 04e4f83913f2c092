import { type Connection, jsonBody } from "./connection.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";
import type { Job } from "./types.ts";

/** What may, must or must not be in deliveries. */
type Demand = "none" | "optional" | "required";

export interface NewDropFolder {
  /** Lower-case letters, digits and hyphens. */
  readonly name: string;
  /** Absolute, on the server. */
  readonly folder: string;
  readonly quarantine?: string;
  readonly owner?: string;
  readonly quietSeconds?: number;
  readonly overdueHours?: number;
  readonly everySeconds?: number;
  readonly manifest?: Demand;
  readonly bag?: Demand;
  readonly grammar?: string;
  readonly metadata?: {
    readonly submitter?: string;
    readonly project?: string;
    readonly instrument?: string;
    readonly keyValues?: Readonly<Record<string, string>>;
  };
  readonly removal?: "never" | "approved" | "always";
}

export interface DropFolder {
  /** Its name. */
  readonly id: string;
  readonly folder: string;
  readonly quarantine: string;
  readonly owner: string;
  readonly quietSeconds: number;
  /** For so long a delivery may wait for what is missing before operators are told. */
  readonly overdueHours: number;
  readonly everySeconds: number;
  readonly manifest: Demand;
  readonly bag: Demand;
  readonly grammar: string | null;
  readonly metadata: {
    readonly submitter: string;
    readonly project: string | null;
    readonly instrument: string | null;
    readonly keyValues: Readonly<Record<string, string>>;
  };
  readonly removal: "never" | "approved" | "always";
  readonly declaredBy: "file" | "api";
  readonly lookedAt: string | null;
  /** What kept it from being looked at. */
  readonly trouble: string | null;
}

export type DeliveryState =
  | "arriving"
  | "taking"
  | "failed"
  | "archived"
  | "removing"
  | "removed"
  | "rejected"
  | "quarantined"
  | "gone";

export interface Delivery {
  readonly id: number;
  readonly drop: string;
  readonly name: string;
  readonly state: DeliveryState;
  /** What it waits for, or why it was rejected. */
  readonly note: string | null;
  readonly job: number | null;
  readonly transactionId: number | null;
  readonly removalJob: number | null;
  readonly permittedBy: string | null;
  readonly unchangedSince: string;
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** For operators. */
export interface DropsApi {
  list(): Promise<readonly DropFolder[]>;
  get(name: string): Promise<DropFolder>;
  /** Declares a drop folder, or declares it differently. @throws LongshoreError drop_invalid, drop_fixed. */
  declare(drop: NewDropFolder): Promise<DropFolder>;
  remove(name: string): Promise<void>;
  /** Looks at the folder now. */
  look(name: string): Promise<Job>;
  /** Newest first. */
  deliveries(name: string, options?: PageOptions & { readonly state?: DeliveryState }): Listing<Delivery>;
  /** Permits that the files of an archived delivery be removed from the folder. @throws LongshoreError removal_refused. */
  permitRemoval(name: string, delivery: number): Promise<Delivery>;
}

export function dropsApi(connection: Connection): DropsApi {
  const path = (name: string) => `/drops/${encodeURIComponent(name)}`;
  return {
    list: async () => (await connection.json<{ readonly items: readonly DropFolder[] }>("/drops")).items,
    get: (name) => connection.json(path(name)),
    declare: (drop) => connection.json("/drops", jsonBody("POST", drop)),
    async remove(name) {
      await connection.send(path(name), { method: "DELETE" });
    },
    look: (name) => connection.json(`${path(name)}/looks`, { method: "POST" }),
    deliveries: (name, { signal, ...options } = {}) =>
      listing<Delivery>(connection, `${path(name)}/deliveries`, options, signal),
    permitRemoval: (name, delivery) =>
      connection.json(`${path(name)}/deliveries/${delivery}/removal`, { method: "POST" }),
  };
}
