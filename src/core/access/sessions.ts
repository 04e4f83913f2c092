import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { SCOPES, type Scope } from "./access-stores.ts";
import { type KeyRing, unsealJson } from "./key-ring.ts";
import { sameHash } from "./tokens.ts";

/** How somebody has signed in: with a token, which is looked at anew each time, or by an identity provider's word. */
export type SessionCredential =
  | { readonly kind: "token"; readonly text: string }
  | {
      readonly kind: "person";
      readonly name: string;
      readonly scopes: readonly Scope[];
      /** The provider's address: whom we have believed. */
      readonly issuer: string;
    };

/** A browser that has signed in. */
export interface Session {
  readonly credential: SessionCredential;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
  /** What a form, or a script's request, must bring along to change something. */
  readonly formToken: string;
}

export interface Sessions {
  /** @returns text for a cookie: sealed, so that nobody reads the credential or makes one up. */
  begin(credential: SessionCredential): string;
  /** `undefined` when the text is none of ours, or has expired. */
  read(text: string): Session | undefined;
  /** Seconds that a session lasts. */
  readonly lastsSeconds: number;
}

/** A working day; nobody has to sign in twice in one. */
const LASTS_MS = 12 * 3_600_000;

/**
 * Sessions that need no table: any node that has the key reads them, and a token that is revoked ends them at once.
 * @param issuer the identity provider that is believed; another one's word of earlier counts no more.
 */
export function sealedSessions(keys: KeyRing, clock: Clock, issuer?: string): Sessions {
  const formKey = keys.derive("forms");

  return {
    lastsSeconds: LASTS_MS / 1_000,
    begin(credential) {
      const id = randomBytes(16).toString("base64url");
      return keys.seal(JSON.stringify({ id, expiresAt: clock.now() + LASTS_MS, credential }));
    },
    read(text) {
      const said = sealedForm(unsealJson(keys, text));
      if (!said || said.expiresAt <= clock.now()) return undefined;
      if (said.credential.kind === "person" && said.credential.issuer !== issuer) return undefined;
      const formToken = createHmac("sha256", formKey).update(said.id).digest("base64url");
      return { credential: said.credential, expiresAt: said.expiresAt, formToken };
    },
  };
}

/** @throws AppError form_stale unless the request brings what the session's forms have. */
export function requireFormToken({ formToken }: Session, given: string | undefined): void {
  if (!sameHash(formToken, given ?? "")) throw new AppError("form_stale");
}

interface Sealed {
  readonly id: string;
  readonly expiresAt: number;
  readonly credential: SessionCredential;
}

/** What another purpose of the same key has sealed is no session. */
function sealedForm(said: unknown): Sealed | undefined {
  const { id, expiresAt, credential } = Object(said) as Record<string, unknown>;
  const known = credentialOf(credential);
  return typeof id === "string" && typeof expiresAt === "number" && known
    ? { id, expiresAt, credential: known }
    : undefined;
}

function credentialOf(said: unknown): SessionCredential | undefined {
  const { kind, text, name, scopes, issuer } = Object(said) as Record<string, unknown>;
  if (kind === "token" && typeof text === "string") return { kind, text };
  if (kind !== "person" || typeof name !== "string" || typeof issuer !== "string" || !Array.isArray(scopes))
    return undefined;
  return { kind, name, scopes: SCOPES.filter((scope) => scopes.includes(scope)), issuer };
}
