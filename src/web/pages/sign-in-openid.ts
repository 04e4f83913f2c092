import type { FastifyReply, FastifyRequest } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { REFUSALS } from "../../core/access/identity-provider.ts";
import type { ProviderSignIn, SignedIn } from "../../core/access/provider-sign-in.ts";
import { AppError } from "../../core/errors.ts";
import { statusOf } from "../../http/problem.ts";
import { attemptCookies, attemptIn, attemptOver, farewellCookie, PROVIDER_PATH } from "../../http/provider-cookies.ts";
import { sessionCookie } from "../../http/session-cookie.ts";
import type { Say } from "../messages.ts";
import type { PageContext } from "../page-context.ts";
import { isAway, ownPath, showSignIn, To } from "./sign-in.ts";

/** Longer ones are not worth a cookie's room. */
const MAX_TO_CHARACTERS = 1_000;

/** Signing in at an identity provider: there, and back. Links and redirections, no form. */
export const openidRoutes =
  (context: PageContext, openid: ProviderSignIn): FastifyPluginAsyncZod =>
  async (app) => {
    const { audit, link, options, sessions } = context;

    app.get(PROVIDER_PATH, { schema: { querystring: To } }, async (request, reply) => {
      const to = ownPath(request.query.to);
      try {
        const attempt = await openid.begin(to.length > MAX_TO_CHARACTERS ? ownPath() : to);
        return reply
          .header("set-cookie", attemptCookies(request.headers, attempt, openid.attemptSeconds, options))
          .header("cache-control", "no-store")
          .redirect(attempt.address, 303);
      } catch (error) {
        return refused(request, reply, error, to);
      }
    });

    app.get(`${PROVIDER_PATH}/callback`, async (request, reply) => {
      const { search, searchParams } = new URL(request.url, "http://localhost");
      const state = searchParams.get("state") ?? "";
      const attempt = attemptIn(request.headers, state);
      let signedIn: SignedIn;
      try {
        signedIn = await openid.complete(search, attempt);
      } catch (error) {
        // While the provider is away, the answer may still be taken: the page is loaded again.
        if (!(error instanceof AppError && isAway(error)) && attempt !== undefined)
          reply.header("set-cookie", attemptOver(state, options));
        return refused(request, reply, error);
      }
      const { credential, subject, to, farewell } = signedIn;
      const { name, scopes, issuer } = credential;
      await audit.record(name, "session.begin", `person/${name}`, { via: "openid", issuer, subject, scopes });
      const cookies = [
        attemptOver(state, options),
        sessionCookie(sessions.begin(credential), sessions.lastsSeconds, options),
        farewellCookie(farewell, sessions.lastsSeconds, options),
      ];
      return reply.header("set-cookie", cookies).header("cache-control", "no-store").redirect(link(to), 303);
    });

    async function refused(request: FastifyRequest, reply: FastifyReply, error: unknown, to?: string) {
      if (!(error instanceof AppError)) throw error;
      const { say } = context.readerOf(request);
      const notice = noticeOf(say, error, openid.name);
      request.log.warn({ err: error, code: error.code }, "nobody was signed in");
      const { reason, name } = error.details;
      if (reason === "powerless" && typeof name === "string")
        await audit.record(name, "session.begin", `person/${name}`, { via: "openid", reason }, "failure");
      return showSignIn(context, request, reply.code(statusOf(error)), { to, notice });
    }
  };

/** @throws what has nothing to do with signing in. */
function noticeOf(say: Say, error: AppError, name: string): string {
  if (isAway(error)) return say("signIn.away", { name });
  if (error.code === "sign_in_stale") return say("signIn.stale");
  const { reason, found, claim } = error.details;
  const refusal = REFUSALS.find((known) => known === reason);
  if (error.code !== "sign_in_refused" || refusal === undefined) throw error;
  return say(`signIn.${refusal}`, { name, found: String(found), claim: String(claim) });
}
