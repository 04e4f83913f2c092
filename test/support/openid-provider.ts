import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import Provider from "oidc-provider";

export const CLIENT_ID = "longshore";
/** Its characters are those that must be escaped on the way. */
export const CLIENT_SECRET = "a+b%c&d:e=f of 32 characters and more";

/** What the provider says of people, by the name they sign in with; of others, their name alone. */
export type People = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface OpenidProvider {
  readonly issuer: string;
  /** Begins to answer, for a client at this address that shows its secret in this way. */
  serve(clientUrl: string, clientAuth?: "post" | "basic"): Promise<void>;
  /** Nobody answers any more, until `start`. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** panva's oidc-provider, certified by the OpenID Foundation, with its own forms, on a port of this machine. */
export async function openidProvider(people: People): Promise<OpenidProvider> {
  let answer: RequestListener | undefined;
  let server: Server | undefined;
  let port = 0;

  async function start(): Promise<void> {
    server = createServer((request, response) => answer?.(request, response));
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    ({ port } = server.address() as AddressInfo);
  }

  await start();
  const issuer = `http://127.0.0.1:${port}`;
  return {
    issuer,
    start,
    async stop() {
      server?.closeAllConnections();
      server?.close();
      if (server) await once(server, "close");
      server = undefined;
    },
    async serve(clientUrl, clientAuth = "post") {
      const provider = new Provider(issuer, {
        clients: [
          {
            client_id: CLIENT_ID,
            client_secret: CLIENT_SECRET,
            token_endpoint_auth_method: `client_secret_${clientAuth}`,
            redirect_uris: [`${clientUrl}/sign-in/openid/callback`],
            post_logout_redirect_uris: [`${clientUrl}/sign-in`],
          },
        ],
        claims: { profile: ["preferred_username", "groups"], email: ["email", "email_verified"] },
        ttl: { Interaction: 3_600, Session: 3_600, Grant: 3_600, AccessToken: 3_600, IdToken: 3_600 },
        cookies: { keys: ["a key of the provider alone"] },
        findAccount: (_context, id) => ({
          accountId: id,
          claims: async () => ({ sub: id, preferred_username: id, ...people[id] }),
        }),
      });
      answer = provider.callback();
    },
  };
}
