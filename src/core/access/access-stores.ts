import type { Details } from "../errors.ts";
import type { TokenId } from "../ids.ts";

/**
 * What a caller may do. `deposit`: send bundles. `read`: see one's own jobs, transactions, files and crawls. `crawl`: have
 * stores walked, their files described, and copied or moved between stores, as far as the settings open them. `operate`:
 * see and steer everybody's. `admin`: tokens and settings; includes all others.
 */
export const SCOPES = ["deposit", "read", "crawl", "operate", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

export interface Token {
  readonly id: TokenId;
  /** The principal the token speaks for; owner of what it makes. */
  readonly owner: string;
  readonly scopes: readonly Scope[];
  /** SHA-256 of the secret, hex: the secret has 256 random bits, so no slow hash is needed. */
  readonly secretHash: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  readonly lastUsedAt: number | null;
  /** Most requests, in a form that `ratesOf` reads; `null`: as many as everybody. */
  readonly rateLimit: string | null;
}

/** Contract: `test/conformance/access-stores.ts`. */
export interface TokenStore {
  insert(token: Token): Promise<void>;
  get(id: TokenId): Promise<Token | undefined>;
  list(): Promise<readonly Token[]>;
  /** @returns false when there is no such token. Revoking twice keeps the first time. */
  revoke(id: TokenId, now: number): Promise<boolean>;
  touch(id: TokenId, now: number): Promise<void>;
  /** Whether any token exists that is neither revoked nor expired. */
  anyActive(now: number): Promise<boolean>;
}

/** How something came out. */
export const OUTCOMES = ["success", "failure"] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Who did what, before it has its place in the log. */
export interface AuditFact {
  readonly at: number;
  readonly actor: string;
  /** What was done, dotted: `job.cancel`, `bundle.deposit`, `token.create`, … */
  readonly action: string;
  /** What it was done to, such as `job/12`. */
  readonly target: string;
  readonly details: Details;
  /** What did it, as name/version; `null` in entries that are older than this field, as is `outcome`. */
  readonly software: string | null;
  readonly outcome: Outcome | null;
}

export interface AuditEntry extends AuditFact {
  readonly seq: number;
  /** Hash of the entry before; 64 zeros for the first. */
  readonly previousHash: string;
  /** SHA-256 over this entry and `previousHash`: see `audit.ts`. */
  readonly hash: string;
}

/** Entries that fit all that is given. */
export interface AuditFilter {
  readonly actor?: string;
  readonly target?: string;
  /** One of these. */
  readonly actions?: readonly string[];
}

/** Append-only. Contract: `test/conformance/access-stores.ts`. */
export interface AuditStore {
  /** Appends what `make` returns for the last entry so far (`undefined` for the first); appends never interleave. */
  append(make: (last: AuditEntry | undefined) => AuditEntry): Promise<AuditEntry>;
  /** In order of `seq`. Details that are no JSON any more, as somebody has changed them, are shown as `{ unreadable }`. */
  list(afterSeq: number, limit: number, filter?: AuditFilter): Promise<readonly AuditEntry[]>;
  /** The other way round: from the one before `beforeSeq`, or from the last. */
  newest(beforeSeq: number | undefined, limit: number, filter?: AuditFilter): Promise<readonly AuditEntry[]>;
}
