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

/**
 * Decides whether a bundle may enter the archive. Adapters: `core/ingest/rules.ts` (a rules file),
 * `adapters/pacifica/policy.ts` (a Pacifica policy service). Several policies must all agree.
 */
export interface Policy {
  /** @returns what it objects to, each with a sentence; nothing when it agrees. @throws AppError remote_unavailable. */
  judge(submission: Submission, signal: AbortSignal): Promise<readonly Problem[]>;
}

/** Agrees with everything: what holds when no policy is configured. */
export function openPolicy(): Policy {
  return { judge: async () => [] };
}

/** Agrees when every one of them does; what they object to is listed together. They are asked one after the other. */
export function allPolicies(...policies: readonly Policy[]): Policy {
  return {
    async judge(submission, signal) {
      const objections: Problem[] = [];
      for (const policy of policies) objections.push(...(await policy.judge(submission, signal)));
      return objections;
    },
  };
}
