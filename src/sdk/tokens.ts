import { type Connection, jsonBody } from "./connection.ts";
import { type Listing, listing, type PageOptions } from "./pages.ts";
import type { Scope, Token } from "./types.ts";

export interface NewToken {
  readonly owner: string;
  readonly scopes: readonly Scope[];
  /** ISO 8601; for ever when left out. */
  readonly expiresAt?: string;
  /** Most requests, in place of the server's limit: `15/900s`, `600/m,10000/d` or `none`. */
  readonly rateLimit?: string;
}

/** For administrators. */
export interface TokensApi {
  /** `token` is the whole bearer token; it is not shown again. */
  create(token: NewToken): Promise<Token & { readonly token: string }>;
  list(options?: PageOptions): Listing<Token>;
  revoke(id: string): Promise<void>;
}

export function tokensApi(connection: Connection): TokensApi {
  return {
    create: (token) => connection.json<Token & { readonly token: string }>("/tokens", jsonBody("POST", token)),
    list: ({ signal, ...page } = {}) => listing<Token>(connection, "/tokens", page, signal),
    async revoke(id) {
      await connection.send(`/tokens/${encodeURIComponent(id)}`, { method: "DELETE" });
    },
  };
}
