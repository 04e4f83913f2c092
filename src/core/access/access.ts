import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { TokenId } from "../ids.ts";
import { type Rate, ratesOf } from "../rate.ts";
import type { Scope, TokenStore } from "./access-stores.ts";
import { SCOPES } from "./access-stores.ts";
import type { Session, SessionCredential } from "./sessions.ts";
import { hashSecret, parseToken, sameHash } from "./tokens.ts";

/** Who is asking, and what they may do. */
export interface Principal {
  /** Owner of what this caller makes. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** How we know: a bearer token, a trusted proxy's word, an identity provider's, or an open server on this machine. */
  readonly via: "token" | "proxy" | "session" | "local";
  /** When, and only when, a token of ours was shown. */
  readonly token?: TokenId;
  /** What the token may do at most, in place of what everybody may. */
  readonly rates?: readonly Rate[];
}

/** What a request shows of its sender. */
export interface Credentials {
  /** The `Authorization` field as it came. Schemes other than `Bearer` are the business of a proxy and not looked at. */
  readonly authorization?: string | undefined;
  /** Given when, and only when, the sender's address is a trusted proxy's: the user it vouches for, if any. */
  readonly proxy?: { readonly user: string | undefined } | undefined;
  /** Of a browser that has signed in; counts when nothing else is shown. */
  readonly session?: Session | undefined;
}

export interface Access {
  /** @throws AppError token_missing, token_invalid. */
  authenticate(credentials: Credentials): Promise<Principal>;
  /**
   * Whether a caller without credentials is let in: the server answers this machine only, no token is active, and people
   * have no provider to sign in at. What comes through a trusted proxy comes from elsewhere, and is never let in so.
   */
  isOpen(): Promise<boolean>;
}

export interface AccessOptions {
  /** The server is bound to loopback addresses only. */
  readonly loopback: boolean;
  /** People sign in at a provider: nobody is let in without credentials. */
  readonly hasProvider?: boolean;
}

const LOCAL: Principal = { name: "local", scopes: SCOPES, via: "local" };

/** `lastUsedAt` is for people: once a minute is enough, and saves a write per request. */
const TOUCH_EVERY_MS = 60_000;

/** What having a scope includes beside itself. */
const INCLUDES: Readonly<Record<Scope, readonly Scope[]>> = {
  deposit: [],
  read: [],
  crawl: [],
  operate: ["read"],
  admin: SCOPES,
};

export function access(tokens: TokenStore, clock: Clock, options: AccessOptions): Access {
  const isOpen = async () => options.loopback && !options.hasProvider && !(await tokens.anyActive(clock.now()));

  async function bearer(text: string): Promise<Principal> {
    const presented = parseToken(text);
    const token = presented && (await tokens.get(presented.id));
    const now = clock.now();
    if (!token || !sameHash(token.secretHash, hashSecret(presented.secret))) throw new AppError("token_invalid");
    if (token.revokedAt !== null || (token.expiresAt !== null && token.expiresAt <= now))
      throw new AppError("token_invalid", { id: token.id });
    if (token.lastUsedAt === null || now - token.lastUsedAt >= TOUCH_EVERY_MS) await tokens.touch(token.id, now);
    const rates = token.rateLimit === null ? undefined : ratesOf(token.rateLimit);
    return { name: token.owner, scopes: token.scopes, via: "token", token: token.id, ...(rates && { rates }) };
  }

  async function signedIn(credential: SessionCredential): Promise<Principal> {
    if (credential.kind === "token") return bearer(credential.text);
    const { name, scopes } = credential;
    return { name, scopes, via: "session" };
  }

  return {
    isOpen,
    async authenticate({ authorization, proxy, session }) {
      if (proxy?.user) return { name: proxy.user, scopes: ["deposit", "read"], via: "proxy" };
      const text = /^bearer +(.+)$/i.exec(authorization ?? "")?.[1];
      if (text !== undefined) return bearer(text.trim());
      if (session) return signedIn(session.credential);
      if (!proxy && (await isOpen())) return LOCAL;
      throw new AppError("token_missing");
    },
  };
}

export function hasScope(principal: Principal, scope: Scope): boolean {
  return principal.scopes.some((own) => own === scope || INCLUDES[own].includes(scope));
}

/** @throws AppError scope_missing. */
export function requireScope(principal: Principal, scope: Scope): void {
  if (!hasScope(principal, scope)) throw new AppError("scope_missing", { expected: scope });
}

/** Jobs and transactions are seen by their owner and by operators; to anybody else they do not exist. */
export function maySee(principal: Principal, owner: string): boolean {
  return owner === principal.name || hasScope(principal, "operate");
}
