import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Details, DetailValue } from "../errors.ts";
import type { AuditEntry, AuditStore } from "./access-stores.ts";

const FIRST_PREVIOUS = "0".repeat(64);
const PAGE = 1000;

export interface Audit {
  /** Appends who did what to what. On return it is durable. @param action dotted: `job.cancel`, `bundle.deposit`, … */
  record(actor: string, action: string, target: string, details?: Details): Promise<AuditEntry>;
  /** In order of `seq`. */
  list(afterSeq: number, limit: number): Promise<readonly AuditEntry[]>;
  /**
   * Reads the whole log and recomputes every hash. Memory: one page.
   * @returns how many entries are in order, and the `seq` of the first one that is not.
   */
  verifyChain(): Promise<{ readonly entries: number; readonly brokenAt: number | null }>;
}

/**
 * The audit log is a chain: each entry's `hash` covers its fields and the hash before it, so that nothing in it can be
 * changed, dropped or put in later without every hash after it changing too. Cutting off its end is not visible from
 * inside; compare with a `hash` noted elsewhere.
 */
export function audit(store: AuditStore, clock: Clock): Audit {
  return {
    record: (actor, action, target, details = {}) =>
      store.append((last) => {
        const entry = {
          seq: (last?.seq ?? 0) + 1,
          at: clock.now(),
          actor,
          action,
          target,
          details,
          previousHash: last?.hash ?? FIRST_PREVIOUS,
        };
        return { ...entry, hash: entryHash(entry) };
      }),

    list: (afterSeq, limit) => store.list(afterSeq, limit),

    async verifyChain() {
      let last: Pick<AuditEntry, "seq" | "hash"> = { seq: 0, hash: FIRST_PREVIOUS };
      for (;;) {
        const page = await store.list(last.seq, PAGE);
        for (const entry of page) {
          const follows = entry.seq === last.seq + 1 && entry.previousHash === last.hash;
          if (!follows || entry.hash !== entryHash(entry)) return { entries: last.seq, brokenAt: entry.seq };
          last = entry;
        }
        if (page.length < PAGE) return { entries: last.seq, brokenAt: null };
      }
    },
  };
}

/**
 * SHA-256, hex, over the canonical JSON of the object with exactly the members `action`, `actor`, `at` (epoch
 * milliseconds), `details`, `previousHash`, `seq` and `target`, in UTF-8.
 */
export function entryHash(entry: Omit<AuditEntry, "hash">): string {
  const { seq, at, actor, action, target, details, previousHash } = entry;
  const text = canonicalJson({ seq, at, actor, action, target, details, previousHash });
  return createHash("sha256").update(text).digest("hex");
}

/**
 * The JSON Canonicalization Scheme (RFC 8785): no white space, members in code-unit order of their names, numbers and
 * strings as ECMAScript writes them.
 */
export function canonicalJson(value: DetailValue): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
  return `{${members.join(",")}}`;
}

/** `Array.isArray` does not narrow readonly arrays. */
function isList(value: DetailValue): value is readonly DetailValue[] {
  return Array.isArray(value);
}
