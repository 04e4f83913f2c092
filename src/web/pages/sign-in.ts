import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { parseToken } from "../../core/access/tokens.ts";
import { AppError } from "../../core/errors.ts";
import { sessionCookie } from "../../http/session-cookie.ts";
import { html } from "../html.ts";
import type { PageContext } from "../page-context.ts";

const To = z.object({ to: z.string().max(2_000).optional() });

/** Signing in with a token, and signing out. */
export const signInRoutes =
  (context: PageContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { access, sessions, link, show, readerOf } = context;

    app.get("/sign-in", { schema: { querystring: To } }, async (request, reply) =>
      show(request, reply, signInPage(readerOf(request), link, request.query.to)),
    );

    app.post(
      "/sign-in",
      { schema: { querystring: To, body: z.object({ token: z.string().trim().max(200) }) } },
      async (request, reply) => {
        const { token } = request.body;
        try {
          if (!parseToken(token)) throw new AppError("token_invalid");
          await access.authenticate({ authorization: `Bearer ${token}` });
        } catch (error) {
          if (!(error instanceof AppError && error.code === "token_invalid")) throw error;
          const reader = readerOf(request);
          return show(request, reply.code(401), signInPage(reader, link, request.query.to, true));
        }
        const text = sessions.begin({ kind: "token", text: token });
        return reply
          .header("set-cookie", sessionCookie(text, sessions.lastsSeconds, context.options))
          .redirect(link(ownPath(request.query.to)), 303);
      },
    );

    app.post("/sign-out", async (_request, reply) =>
      reply.header("set-cookie", sessionCookie("", 0, context.options)).redirect(link("/sign-in"), 303),
    );
  };

function signInPage(
  { say }: ReturnType<PageContext["readerOf"]>,
  link: PageContext["link"],
  to: string | undefined,
  isRefused = false,
) {
  const target = link(`/sign-in${to === undefined ? "" : `?to=${encodeURIComponent(ownPath(to))}`}`);
  return {
    title: say("signIn.title"),
    body: html`${isRefused && html`<p class="notice" role="alert" id="refused">${say("signIn.refused")}</p>`}
<form class="row" method="post" action="${target}">
<label class="wide">${say("signIn.token")}
<input name="token" type="password" autocomplete="current-password" required aria-describedby="token-hint${isRefused && " refused"}"${isRefused && html` aria-invalid="true"`}></label>
<button>${say("signIn.submit")}</button>
</form>
<p class="hint" id="token-hint">${say("signIn.tokenHint")}</p>`,
  };
}

/** Only a path of ours: `//elsewhere` and `/\elsewhere` are addresses of other hosts to browsers. */
function ownPath(to = "/home"): string {
  return /^\/(?![/\\])[^\\\s]*$/.test(to) ? to : "/home";
}
