import type { FastifyReply, FastifyRequest } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { Principal } from "../../core/access/access.ts";
import type { Session } from "../../core/access/sessions.ts";
import { parseToken } from "../../core/access/tokens.ts";
import { AppError } from "../../core/errors.ts";
import { farewellCookie, farewellIn, PROVIDER_PATH, SIGN_OUT_PATH } from "../../http/provider-cookies.ts";
import { sessionCookie, sessionTextOf } from "../../http/session-cookie.ts";
import { html } from "../html.ts";
import type { Reader } from "../layout.ts";
import type { PageContext } from "../page-context.ts";

export const To = z.object({ to: z.string().max(2_000).optional() });

/** Signing in with a token, and signing out, of what one has signed in with. */
export const signInRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { access, audit, openid, options, sessions, link, show, readerOf } = context;

    app.get("/sign-in", { schema: { querystring: To } }, async (request, reply) =>
      showSignIn(context, request, reply, { to: request.query.to }),
    );

    app.post(
      "/sign-in",
      { schema: { querystring: To, body: z.object({ token: z.string().trim().max(200) }) } },
      async (request, reply) => {
        const { token } = request.body;
        const { to } = request.query;
        let principal: Principal;
        try {
          if (!parseToken(token)) throw new AppError("token_invalid");
          principal = await access.authenticate({ authorization: `Bearer ${token}` });
        } catch (error) {
          if (!(error instanceof AppError && error.code === "token_invalid")) throw error;
          return showSignIn(context, request, reply.code(401), { to, isRefused: true });
        }
        await audit.record(principal.name, "session.begin", `token/${principal.token}`, { via: "token" });
        const text = sessions.begin({ kind: "token", text: token });
        return reply
          .header("set-cookie", sessionCookie(text, sessions.lastsSeconds, options))
          .redirect(link(ownPath(to)), 303);
      },
    );

    app.post(SIGN_OUT_PATH, async (request, reply) => {
      const session = sessions.read(sessionTextOf(request.headers) ?? "");
      if (session) await noteEnd(session);
      reply.header("set-cookie", [sessionCookie("", 0, options), farewellCookie("", 0, options)]);
      if (session?.credential.kind !== "person" || !openid) return reply.redirect(link("/sign-in"), 303);
      const { say } = readerOf(request);
      const { name } = openid;
      try {
        const address = await openid.end(farewellIn(request.headers));
        if (address === undefined) return reply.redirect(link("/sign-in"), 303);
        // Not by a redirection: the form that has brought us here may lead to ourselves alone, and browsers hold it to that.
        return show(request, reply.header("refresh", `0;url=${address}`), {
          title: say("signOut.title"),
          body: html`<p>${say("signOut.here")} ${say("signOut.leading", { name })}</p>
<p><a class="button" href="${address}">${say("signOut.there", { name })}</a></p>`,
        });
      } catch (error) {
        if (!(error instanceof AppError && isAway(error))) throw error;
        request.log.warn({ err: error, code: error.code }, "the identity provider is away");
        return show(request, reply, {
          title: say("signOut.title"),
          body: html`<p>${say("signOut.here")} ${say("signOut.away", { name })}</p>
<p><a class="button" href="${link("/sign-in")}">${say("signOut.again")}</a></p>`,
        });
      }
    });

    /** Of a token that was revoked meanwhile, the session was over before. */
    async function noteEnd(session: Session): Promise<void> {
      const principal = await access.authenticate({ session }).catch((error: unknown) => {
        if (error instanceof AppError && error.code === "token_invalid") return undefined;
        throw error;
      });
      if (principal === undefined) return;
      const { name, token } = principal;
      await audit.record(name, "session.end", token === undefined ? `person/${name}` : `token/${token}`);
    }
  };

export interface SignInPage {
  readonly to?: string | undefined;
  /** The token was. */
  readonly isRefused?: boolean;
  /** Why nobody was signed in by the provider. */
  readonly notice?: string;
}

/** The ways to sign in; tokens are always one. */
export function showSignIn(
  context: PageContext,
  request: FastifyRequest,
  reply: FastifyReply,
  { to, isRefused = false, notice }: SignInPage,
): Promise<FastifyReply> {
  const { openid, link, readerOf, show } = context;
  const reader = readerOf(request);
  const { say } = reader;
  const back = to === undefined ? "" : `?to=${encodeURIComponent(ownPath(to))}`;
  return show(request, reply, {
    title: say("signIn.title"),
    body: html`${notice !== undefined && html`<p class="notice" role="alert">${notice}</p>`}
${
  openid &&
  html`<p><a class="button" href="${link(`${PROVIDER_PATH}${back}`)}">${say("signIn.withProvider", { name: openid.name })}</a></p>
<h2>${say("signIn.withToken")}</h2>`
}
${tokenForm(reader, `/sign-in${back}`, isRefused)}`,
  });
}

function tokenForm({ say, link }: Reader, action: string, isRefused: boolean) {
  return html`${isRefused && html`<p class="notice" role="alert" id="refused">${say("signIn.refused")}</p>`}
<form class="row" method="post" action="${link(action)}">
<label class="wide">${say("signIn.token")}
<input name="token" type="password" autocomplete="current-password" required aria-describedby="token-hint${isRefused && " refused"}"${isRefused && html` aria-invalid="true"`}></label>
<button>${say("signIn.submit")}</button>
</form>
<p class="hint" id="token-hint">${say("signIn.tokenHint")}</p>`;
}

/** Whether the identity provider does not answer. */
export function isAway({ code }: AppError): boolean {
  return code === "remote_unavailable";
}

/** Only a path of ours: `//elsewhere` and `/\elsewhere` are addresses of other hosts to browsers. */
export function ownPath(to = "/home"): string {
  return /^\/(?![/\\])[^\\\s]*$/.test(to) ? to : "/home";
}
