import type { ClientAuth, Configuration } from "openid-client";
import type { Claims, IdentityProvider } from "../../core/access/identity-provider.ts";
import type { Clock } from "../../core/clock.ts";
import { AppError } from "../../core/errors.ts";
import { optionalDriver } from "../db/optional-driver.ts";

export interface OpenidClientOptions {
  /** As it stands in what the provider signs; its metadata lie below (OpenID Connect Discovery 1.0 §4). */
  readonly issuer: string;
  readonly clientId: string;
  /** Left out: a public client, which PKCE alone protects. */
  readonly clientSecret?: string | undefined;
  /** Where the secret goes (OpenID Connect Core 1.0 §9). */
  readonly clientAuth: "post" | "basic";
  /** Separated by spaces. */
  readonly scopes: string;
  /** Whether the ID token says all that is needed; else the provider's UserInfo endpoint is asked too. */
  isEnough(claims: Claims): boolean;
  readonly clock: Clock;
}

const TIMEOUT_S = 10;
/** Clocks of different houses. */
const CLOCK_TOLERANCE_S = 60;
/** Nobody is sent to a provider that was not there half a minute ago: browsers have no good words for that. */
const THERE_MS = 30_000;
/** A provider's addresses change hardly ever. */
const VALID_MS = 3_600_000;
const ERROR_CHARACTERS = 100;

type Library = typeof import("openid-client");

/** The provider is asked for nothing before somebody wants to sign in. @throws AppError driver_missing. */
export async function openidClient(options: OpenidClientOptions): Promise<IdentityProvider> {
  const library = await optionalDriver("openid-client", () => import("openid-client"));
  const { issuer, scopes, isEnough } = options;
  const { host } = new URL(issuer);
  const discovery = discoveryOf(library, options);

  const explained = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw explanation(library, error, host);
    }
  };

  return {
    async question(returnTo, { state, nonce, verifier }) {
      const address = library.buildAuthorizationUrl(await discovery.there(), {
        redirect_uri: returnTo,
        scope: scopes,
        state,
        nonce,
        code_challenge: await library.calculatePKCECodeChallenge(verifier),
        code_challenge_method: "S256",
      });
      return address.href;
    },

    async answered(answer, { state, nonce, verifier }) {
      const config = await discovery.known();
      const tokens = await explained(
        library.authorizationCodeGrant(config, answer, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
          idTokenExpected: true,
        }),
      );
      const signed = tokens.claims();
      if (signed === undefined || tokens.id_token === undefined)
        throw new AppError("sign_in_refused", { reason: "untrusted", expected: "an ID token" });
      if (isEnough(signed) || config.serverMetadata().userinfo_endpoint === undefined)
        return { claims: signed, idToken: tokens.id_token };
      const told = await explained(library.fetchUserInfo(config, tokens.access_token, signed.sub));
      return { claims: { ...told, ...signed }, idToken: tokens.id_token };
    },

    async farewell(returnTo, idToken) {
      const config = await discovery.there();
      if (config.serverMetadata().end_session_endpoint === undefined) return undefined;
      return library.buildEndSessionUrl(config, {
        post_logout_redirect_uri: returnTo,
        ...(idToken !== undefined && { id_token_hint: idToken }),
      }).href;
    },
  };
}

/** The provider's metadata, which are asked for when they are needed, once for all who wait for them. */
interface Discovery {
  /** Of a provider that answers. @throws AppError remote_unavailable. */
  there(): Promise<Configuration>;
  /** Those of earlier will do, if there are any. @throws AppError remote_unavailable. */
  known(): Promise<Configuration>;
}

function discoveryOf(library: Library, options: OpenidClientOptions): Discovery {
  const { issuer, clock } = options;
  let last: { readonly config: Configuration; readonly at: number } | undefined;
  let underWay: Promise<Configuration> | undefined;

  async function ask(): Promise<Configuration> {
    try {
      const config = await discover(library, options);
      last = { config, at: clock.now() };
      return config;
    } catch (error) {
      const { host } = new URL(issuer);
      throw new AppError("remote_unavailable", { host, reason: innermost(error) }, { cause: error });
    } finally {
      underWay = undefined;
    }
  }

  async function within(ms: number): Promise<Configuration> {
    if (last && clock.now() - last.at < ms) return last.config;
    underWay ??= ask();
    return underWay;
  }

  return {
    there: () => within(THERE_MS),
    known: () =>
      within(VALID_MS).catch((error: unknown) => {
        if (last) return last.config;
        throw error;
      }),
  };
}

/** That a fetch has failed says less than why. */
function innermost(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? innermost(error.cause) : error.message;
}

async function discover(library: Library, options: OpenidClientOptions): Promise<Configuration> {
  const { issuer, clientId } = options;
  const server = new URL(issuer);
  // The settings let no provider in that is reached without TLS, but on this machine.
  const insecurely = server.protocol === "http:" ? [library.allowInsecureRequests] : [];
  const config = await library.discovery(
    server,
    clientId,
    { [library.clockTolerance]: CLOCK_TOLERANCE_S },
    clientAuth(library, options),
    {
      timeout: TIMEOUT_S,
      // Signatures count, although the ID token comes from the provider's own hand (OpenID Connect Core 1.0 §3.1.3.7).
      execute: [...insecurely, library.enableNonRepudiationChecks],
    },
  );
  // The library lets some providers call themselves otherwise, to serve the accounts of anybody.
  const { issuer: found } = config.serverMetadata();
  if (new URL(found).href !== server.href) throw new Error(`expected the issuer ${issuer}, found ${found}`);
  return config;
}

function clientAuth(library: Library, { clientSecret, clientAuth: way }: OpenidClientOptions): ClientAuth {
  if (clientSecret === undefined) return library.None();
  return way === "basic" ? library.ClientSecretBasic(clientSecret) : library.ClientSecretPost(clientSecret);
}

/** What the library has thrown, in our terms; what it does not foresee stays as it is. */
function explanation(library: Library, error: unknown, host: string): unknown {
  const { AuthorizationResponseError, ResponseBodyError, WWWAuthenticateChallengeError, ClientError } = library;
  if (isAway(library, error)) return new AppError("remote_unavailable", { host }, { cause: error });
  if (error instanceof AuthorizationResponseError || error instanceof ResponseBodyError) {
    // A code is good for once (RFC 6749 §4.1.2).
    if (error.error === "invalid_grant") return new AppError("sign_in_stale", {}, { cause: error });
    const reason = error.error === "access_denied" ? "denied" : "failed";
    return refusal(reason, error.error.slice(0, ERROR_CHARACTERS), error);
  }
  if (error instanceof WWWAuthenticateChallengeError) return refusal("failed", error.message, error);
  return error instanceof ClientError ? refusal("untrusted", error.code ?? error.message, error) : error;
}

function refusal(reason: "denied" | "failed" | "untrusted", found: string, cause: Error): AppError {
  return new AppError("sign_in_refused", { reason, found }, { cause });
}

/** There was no connection, no answer in time, or an answer of a server that is not well. */
function isAway({ ClientError }: Library, error: unknown): boolean {
  if (error instanceof TypeError) return error.cause instanceof Error;
  if (!(error instanceof ClientError)) return false;
  return error.code === "OAUTH_TIMEOUT" || (error.cause instanceof Response && error.cause.status >= 500);
}
