import type { DigestName } from "../../digest.ts";
import type { Problem } from "../../errors.ts";
import type { BundleMetadata } from "../metadata.ts";

/** What a policy judges: the declaration, before anything is archived. */
export interface Submission {
  /** The principal that deposits; a remote Pacifica policy receives it in its user header. */
  readonly owner: string;
  readonly metadata: BundleMetadata;
  /** The metadata document as received: what a remote Pacifica policy service is sent. Each call reads it anew. */
  document(): Promise<AsyncIterable<Uint8Array>>;
}

export type DescribedField = "submitter" | "project" | "instrument";

/** What is asked of every bundle, as far as it can be said beforehand: what a form is made of. `judge` decides. */
export interface PolicyAsks {
  readonly fields: readonly DescribedField[];
  /** Of key-values. */
  readonly keys: readonly string[];
  /** All values of a field that may be accepted; left out: any. */
  readonly choices: Readonly<Partial<Record<DescribedField, readonly string[]>>>;
  /** Left out: files may be declared with any digest. */
  readonly digests?: readonly DigestName[];
}

/**
 * Decides whether a bundle may enter the archive. Adapters: `core/ingest/rules.ts` (a rules file),
 * `adapters/pacifica/policy.ts` (a Pacifica policy service). Several policies must all agree.
 */
export interface Policy {
  /** @returns what it objects to, each with a sentence; nothing when it agrees. @throws AppError remote_unavailable. */
  judge(submission: Submission, signal: AbortSignal): Promise<readonly Problem[]>;
  /** Left out: nothing can be said beforehand. */
  readonly asks?: PolicyAsks;
}

/** Agrees with everything: what holds when no policy is configured. */
export function openPolicy(): Policy {
  return { judge: async () => [] };
}

/** Agrees when every one of them does; what they object to is listed together. They are asked one after the other. */
export function allPolicies(...policies: readonly Policy[]): Policy {
  const asks = policies.flatMap((policy) => policy.asks ?? []).reduce(bothAsk, NOTHING);
  return {
    asks,
    async judge(submission, signal) {
      const objections: Problem[] = [];
      for (const policy of policies) objections.push(...(await policy.judge(submission, signal)));
      return objections;
    },
  };
}

const NOTHING: PolicyAsks = { fields: [], keys: [], choices: {} };

function bothAsk(one: PolicyAsks, other: PolicyAsks): PolicyAsks {
  const common = <T>(some: readonly T[] | undefined, more: readonly T[] | undefined) =>
    some && more ? some.filter((value) => more.includes(value)) : (some ?? more);
  const fields = [...new Set([...one.fields, ...other.fields])];
  const chosen = (["submitter", "project", "instrument"] as const).flatMap((field) => {
    const values = common(one.choices[field], other.choices[field]);
    return values ? [[field, values] as const] : [];
  });
  const digests = common(one.digests, other.digests);
  return {
    fields,
    keys: [...new Set([...one.keys, ...other.keys])],
    choices: Object.fromEntries(chosen),
    ...(digests && { digests }),
  };
}
