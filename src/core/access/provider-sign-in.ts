import { randomBytes } from "node:crypto";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { IdentityProvider } from "./identity-provider.ts";
import { type KeyRing, unsealJson } from "./key-ring.ts";
import { type PersonRules, personOf } from "./people.ts";
import type { SessionCredential } from "./sessions.ts";

/** Signing in by an identity provider's word. Nothing is kept here: the browser carries what we must know, sealed. */
export interface ProviderSignIn {
  /** As people know the provider. */
  readonly name: string;
  /** Seconds that somebody may take to sign in there. */
  readonly attemptSeconds: number;
  /** @param to the page to show afterwards. @throws AppError remote_unavailable. */
  begin(to: string): Promise<Attempt>;
  /**
   * @param answer what came back behind the callback's address: `?state=…`.
   * @param sealed of the attempt that has this state, if the browser has brought it.
   * @throws AppError sign_in_stale, sign_in_refused, remote_unavailable.
   */
  complete(answer: string, sealed: string | undefined): Promise<SignedIn>;
  /**
   * Where a browser is sent to sign out at the provider; `undefined` when nothing is to be done there.
   * @param farewell of {@link SignedIn}, if it is still there. @throws AppError remote_unavailable.
   */
  end(farewell: string | undefined): Promise<string | undefined>;
}

/** Somebody on their way to the provider. */
export interface Attempt {
  /** Which of a browser's attempts it is: it comes back as `state`. */
  readonly state: string;
  /** For a cookie. */
  readonly sealed: string;
  /** Where the browser is sent. */
  readonly address: string;
}

export interface SignedIn {
  readonly credential: SessionCredential & { readonly kind: "person" };
  /** The provider's own name for who it is, which never changes. */
  readonly subject: string;
  /** The page to show now. */
  readonly to: string;
  /** For a cookie of its own: signing out there without being asked takes it. */
  readonly farewell: string;
}

export interface ProviderSignInOptions {
  readonly provider: IdentityProvider;
  /** The provider's address, which stands in what it signs. */
  readonly issuer: string;
  readonly name: string;
  readonly rules: PersonRules;
  readonly keys: KeyRing;
  readonly clock: Clock;
  /** Under which browsers reach us; no slash at the end. */
  publicUrl(): string;
}

const ATTEMPT_MS = 10 * 60_000;

/** Kinds keep apart what is sealed with the same key for other purposes. */
const AttemptForm = z.object({
  kind: z.literal("attempt"),
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  to: z.string(),
  expiresAt: z.number(),
});
const FarewellForm = z.object({ kind: z.literal("farewell"), idToken: z.string() });

export function providerSignIn(options: ProviderSignInOptions): ProviderSignIn {
  const { provider, issuer, name, rules, keys, clock, publicUrl } = options;
  const callback = () => `${publicUrl()}/sign-in/openid/callback`;

  return {
    name,
    attemptSeconds: ATTEMPT_MS / 1_000,

    async begin(to) {
      const challenge = { state: unguessable(), nonce: unguessable(), verifier: unguessable() };
      const attempt: z.output<typeof AttemptForm> = {
        kind: "attempt",
        ...challenge,
        to,
        expiresAt: clock.now() + ATTEMPT_MS,
      };
      const address = await provider.question(callback(), challenge);
      return { state: challenge.state, sealed: keys.seal(JSON.stringify(attempt)), address };
    },

    async complete(answer, sealed = "") {
      const { data: attempt } = AttemptForm.safeParse(unsealJson(keys, sealed));
      const address = new URL(`${callback()}${answer}`);
      if (attempt === undefined || attempt.expiresAt <= clock.now()) throw new AppError("sign_in_stale");
      if (address.searchParams.get("state") !== attempt.state) throw new AppError("sign_in_stale");
      const { claims, idToken } = await provider.answered(address, attempt);
      const farewell: z.output<typeof FarewellForm> = { kind: "farewell", idToken };
      return {
        credential: { kind: "person", ...personOf(claims, rules), issuer },
        subject: String(claims.sub),
        to: attempt.to,
        farewell: keys.seal(JSON.stringify(farewell)),
      };
    },

    async end(sealed = "") {
      const { data } = FarewellForm.safeParse(unsealJson(keys, sealed));
      return provider.farewell(`${publicUrl()}/sign-in`, data?.idToken);
    },
  };
}

/** 43 letters, digits, `-` and `_`, as RFC 7636 §4.1 recommends for a verifier. */
const unguessable = (): string => randomBytes(32).toString("base64url");
