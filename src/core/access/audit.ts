import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Details, DetailValue } from "../errors.ts";
import type { AuditEntry, AuditFact, AuditStore, Outcome } from "./access-stores.ts";

const FIRST_PREVIOUS = "0".repeat(64);
const PAGE = 1000;

export interface Audit {
  /** Appends who did what to what. On return it is durable. @param action dotted: `job.cancel`, `bundle.deposit`, … */
  record(actor: string, action: string, target: string, details?: Details, outcome?: Outcome): Promise<AuditEntry>;
  list: AuditStore["list"];
  newest: AuditStore["newest"];
  /** Reads the whole log and recomputes every hash. Memory: one page. @param noted a head of an earlier verification. */
  verifyChain(noted?: AuditHead): Promise<ChainVerdict>;
}

/** The last entry of the log at some time: it stands for everything up to itself. */
export type AuditHead = Pick<AuditEntry, "seq" | "hash">;

export interface ChainVerdict {
  /** How many are in order, from the first on. */
  readonly entries: number;
  /** `seq` of the first entry that is not in order. */
  readonly brokenAt: number | null;
  /** The last entry that is in order. */
  readonly head: AuditHead | null;
  /** Whether the log still has the head that was noted, among those that are in order; `null` when none was given. */
  readonly hasNoted: boolean | null;
}

/**
 * The audit log is a chain: each entry's `hash` covers its fields and the hash before it, so that nothing in it can be
 * changed, dropped or put in later without every hash after it changing too. Cutting off its end, or writing all of it
 * anew from some place on, is not visible from inside: whoever notes a head elsewhere will see it.
 * @param software what records: name/version.
 */
export function audit(store: AuditStore, clock: Clock, software: string): Audit {
  return {
    record: (actor, action, target, details = {}, outcome = "success") =>
      store.append((last) => sealed(last, { at: clock.now(), actor, action, target, details, software, outcome })),

    list: (afterSeq, limit, filter) => store.list(afterSeq, limit, filter),
    newest: (beforeSeq, limit, filter) => store.newest(beforeSeq, limit, filter),

    async verifyChain(noted) {
      let last: AuditHead = { seq: 0, hash: FIRST_PREVIOUS };
      let hasNoted = noted === undefined ? null : false;
      const verdict = (brokenAt: number | null): ChainVerdict => {
        const { seq, hash } = last;
        return { entries: seq, brokenAt, head: seq === 0 ? null : { seq, hash }, hasNoted };
      };
      // From below the first: nothing was ever written there.
      for (let after = Number.MIN_SAFE_INTEGER; ; after = last.seq) {
        const page = await store.list(after, PAGE);
        for (const entry of page) {
          const follows = entry.seq === last.seq + 1 && entry.previousHash === last.hash;
          if (!follows || entry.hash !== entryHash(entry)) return verdict(entry.seq);
          last = entry;
          if (noted?.seq === entry.seq) hasNoted = noted.hash === entry.hash;
        }
        if (page.length < PAGE) return verdict(null);
      }
    },
  };
}

/** The entry that this fact makes behind the last one. */
export function sealed(last: AuditHead | undefined, fact: AuditFact): AuditEntry {
  const entry = { ...fact, seq: (last?.seq ?? 0) + 1, previousHash: last?.hash ?? FIRST_PREVIOUS };
  return { ...entry, hash: entryHash(entry) };
}

/**
 * SHA-256, hex, over the canonical JSON of the object with exactly the members `action`, `actor`, `at` (epoch
 * milliseconds), `details`, `outcome`, `previousHash`, `seq`, `software` and `target`, in UTF-8. `outcome` and `software`
 * are left out where they are `null`: entries of before they existed keep their hashes.
 */
export function entryHash(entry: Omit<AuditEntry, "hash">): string {
  const { seq, at, actor, action, target, details, software, outcome, previousHash } = entry;
  const text = canonicalJson({
    seq,
    at,
    actor,
    action,
    target,
    details,
    ...(software !== null && { software }),
    ...(outcome !== null && { outcome }),
    previousHash,
  });
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
