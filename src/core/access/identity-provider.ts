/** What a provider says of somebody, by the names that claims have there. */
export type Claims = Readonly<Record<string, unknown>>;

/** What ties an answer to the question it answers: three texts that nobody can guess, and only we know. */
export interface Challenge {
  /** Comes back with the answer. */
  readonly state: string;
  /** Comes back in what the provider signs. */
  readonly nonce: string;
  /** Goes along when the answer's code is exchanged; the provider has seen its hash only (RFC 7636). */
  readonly verifier: string;
}

/** Somebody, as the provider knows them. */
export interface Identity {
  readonly claims: Claims;
  /** What the provider has signed of them, to be shown to it when they sign out. */
  readonly idToken: string;
}

/**
 * Who knows people, and lets them say who they are: OpenID Connect's authorization code flow (OpenID Connect Core 1.0 §3.1).
 * A provider that does not answer is `remote_unavailable` here, whichever way it does not, and is asked again next time.
 */
export interface IdentityProvider {
  /**
   * Where a browser is sent, to come back to `returnTo` with an answer.
   * @throws AppError remote_unavailable.
   */
  question(returnTo: string, challenge: Challenge): Promise<string>;
  /**
   * Whom the answer is about, after everything that can be checked was checked.
   * @param answer the address the browser came back to, with all that the provider has added.
   * @throws AppError sign_in_refused with `reason`, sign_in_stale when the answer was used before, remote_unavailable.
   */
  answered(answer: URL, challenge: Challenge): Promise<Identity>;
  /**
   * Where a browser is sent to sign out there too (OpenID Connect RP-Initiated Logout 1.0), to come back to `returnTo`.
   * `undefined` when the provider has nothing of the kind. @throws AppError remote_unavailable.
   */
  farewell(returnTo: string, idToken: string | undefined): Promise<string | undefined>;
}

/** Why somebody is not let in; pages have a sentence for each. */
export const REFUSALS = ["denied", "failed", "untrusted", "nameless", "unverified", "powerless"] as const;
export type Refusal = (typeof REFUSALS)[number];
