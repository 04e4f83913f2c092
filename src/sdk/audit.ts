import { type Connection, query } from "./connection.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";

export interface AuditEntry {
  readonly seq: number;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly software: string | null;
  readonly outcome: "success" | "failure" | null;
  readonly previousHash: string;
  readonly hash: string;
}

export interface AuditFilter {
  readonly actor?: string;
  /** Such as `job.cancel`. */
  readonly action?: string;
  /** Such as `transaction/12`. */
  readonly target?: string;
}

/** The last entry of the log at some time: it stands for everything up to itself. */
export interface AuditHead {
  readonly seq: number;
  readonly hash: string;
}

export interface AuditVerdict {
  /** How many are in order, from the first on. */
  readonly entries: number;
  readonly brokenAt: number | null;
  readonly head: AuditHead | null;
  /** Whether the log still has the head that was given; null when none was. */
  readonly hasNoted: boolean | null;
}

/** For operators: who did what. */
export interface AuditApi {
  /** Oldest first. */
  list(options?: PageOptions & AuditFilter): Listing<AuditEntry>;
  /** Has the whole log recomputed. @param noted the head of an earlier verification. */
  verify(noted?: AuditHead): Promise<AuditVerdict>;
}

export function auditApi(connection: Connection): AuditApi {
  return {
    list: ({ signal, ...options } = {}) => listing<AuditEntry>(connection, "/audit", options, signal),
    verify: (noted) =>
      connection.json<AuditVerdict>(`/audit/verification${query({ seq: noted?.seq, hash: noted?.hash })}`),
  };
}
