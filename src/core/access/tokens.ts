import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import { type TokenId, tokenId } from "../ids.ts";
import type { Scope, Token, TokenStore } from "./access-stores.ts";

/** A token as it may be shown: never with its hash. */
export type TokenInfo = Omit<Token, "secretHash">;

export interface NewToken {
  /** The principal the token speaks for. */
  readonly owner: string;
  readonly scopes: readonly Scope[];
  /** Epoch milliseconds; `null`: until it is revoked. */
  readonly expiresAt: number | null;
  /** See {@link Token.rateLimit}; `null` when left out. */
  readonly rateLimit?: string | null;
}

export interface Tokens {
  /** @returns the token and, this once, the text to present as a bearer token: only a hash of it is kept. */
  create(token: NewToken): Promise<{ readonly token: TokenInfo; readonly text: string }>;
  list(): Promise<readonly TokenInfo[]>;
  /** Revoking twice keeps the first time. @throws AppError token_unknown. */
  revoke(id: TokenId): Promise<void>;
}

export function tokens(store: TokenStore, clock: Clock): Tokens {
  return {
    async create({ owner, scopes, expiresAt, rateLimit = null }) {
      // 48 bits: the id is public and only has to be unique. The secret is what cannot be guessed.
      const id = tokenId(randomBytes(6).toString("hex"));
      const secret = randomBytes(32).toString("base64url");
      const token: Token = {
        id,
        owner,
        scopes: [...new Set(scopes)],
        secretHash: hashSecret(secret),
        createdAt: clock.now(),
        expiresAt,
        revokedAt: null,
        lastUsedAt: null,
        rateLimit,
      };
      await store.insert(token);
      return { token: withoutHash(token), text: `lsh_${id}_${secret}` };
    },
    list: async () => (await store.list()).map(withoutHash),
    async revoke(id) {
      if (!(await store.revoke(id, clock.now()))) throw new AppError("token_unknown", { id });
    },
  };
}

/** Takes `lsh_<id>_<secret>` apart; `undefined` when it is nothing we ever gave out. The id holds no underscore. */
export function parseToken(text: string): { readonly id: TokenId; readonly secret: string } | undefined {
  const [, id, secret] = /^lsh_([0-9a-f]{12})_([A-Za-z0-9_-]{43})$/.exec(text) ?? [];
  return id !== undefined && secret !== undefined ? { id: tokenId(id), secret } : undefined;
}

export function hashSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

/** Takes the same time wherever the two differ. */
export function sameHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function withoutHash({ secretHash: _, ...token }: Token): TokenInfo {
  return token;
}
