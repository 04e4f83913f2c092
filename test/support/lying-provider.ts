import { createSign, generateKeyPairSync, type KeyObject, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

type Claims = Readonly<Record<string, unknown>>;

/** What a provider says that is not as it should be. */
export interface Lie {
  /** In place of what would be true. */
  readonly claims?: Claims;
  /** Signed with a key that is not the provider's. */
  readonly isForged?: boolean;
  /** Not signed at all (RFC 7519 §6). */
  readonly isUnsigned?: boolean;
}

export interface LyingProvider {
  readonly issuer: string;
  /** From now on. */
  tell(lie: Lie): void;
  stop(): Promise<void>;
}

/** A provider that lets anybody in as eve, without a form, and whose ID tokens are as they are told to be. */
export async function lyingProvider(clientId: string): Promise<LyingProvider> {
  const own = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const others = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const nonces = new Map<string, string>();
  let lie: Lie = {};

  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", issuer);
    const json = (body: unknown) => response.setHeader("content-type", "application/json").end(JSON.stringify(body));
    if (pathname.endsWith("/.well-known/openid-configuration"))
      json({
        issuer,
        authorization_endpoint: `${issuer}/auth`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
        response_types_supported: ["code"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["RS256"],
      });
    else if (pathname === "/jwks")
      json({ keys: [{ ...own.publicKey.export({ format: "jwk" }), kid: "own", use: "sig", alg: "RS256" }] });
    else if (pathname === "/auth") {
      const code = randomUUID();
      nonces.set(code, searchParams.get("nonce") ?? "");
      const back = new URL(searchParams.get("redirect_uri") ?? "");
      back.search = String(new URLSearchParams({ code, state: searchParams.get("state") ?? "" }));
      response.writeHead(303, { location: back.href }).end();
    } else {
      const code = new URLSearchParams(await text(request)).get("code") ?? "";
      const now = Math.floor(Date.now() / 1_000);
      const nonce = nonces.get(code);
      const claims = {
        iss: issuer,
        sub: "1",
        aud: clientId,
        iat: now,
        exp: now + 300,
        nonce,
        preferred_username: "eve",
      };
      const key = lie.isForged ? others.privateKey : own.privateKey;
      const idToken = signed({ ...claims, ...lie.claims }, lie.isUnsigned ? undefined : key);
      json({ access_token: randomUUID(), token_type: "Bearer", id_token: idToken });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    issuer,
    tell(told) {
      lie = told;
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** A JSON Web Token (RFC 7519), by RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3). */
function signed(claims: Claims, key: KeyObject | undefined): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const said = `${part(key ? { alg: "RS256", kid: "own" } : { alg: "none" })}.${part(claims)}`;
  return `${said}.${key ? createSign("sha256").update(said).sign(key, "base64url") : ""}`;
}
