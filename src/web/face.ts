import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { requireFormToken, type Session } from "../core/access/sessions.ts";
import { AppError } from "../core/errors.ts";
import type { Authentication } from "../http/authentication.ts";
import { asAppError, statusOf } from "../http/problem.ts";
import type { Face } from "../http/server.ts";
import type { ServerContext } from "../http/server-deps.ts";
import { type Assets, openAssets } from "./assets.ts";
import { html, markupOf } from "./html.ts";
import { layout, type NavigationItem, type Page, type Reader } from "./layout.ts";
import { messagesFor } from "./messages.ts";
import type { PageContext } from "./page-context.ts";
import { archiveRoutes } from "./pages/archive.ts";
import { cartPageRoutes } from "./pages/carts.ts";
import { crawlPageRoutes } from "./pages/crawls.ts";
import { crontabImportRoutes } from "./pages/crontab-import.ts";
import { depositRoutes } from "./pages/deposit.ts";
import { extractionRoutes } from "./pages/extractions.ts";
import { fileRoutes } from "./pages/files.ts";
import { homeRoutes } from "./pages/home.ts";
import { jobRoutes } from "./pages/jobs.ts";
import { operationRoutes } from "./pages/operations.ts";
import { packageStatisticsRoutes } from "./pages/package-statistics.ts";
import { packagePageRoutes } from "./pages/packages.ts";
import { receiptRoutes } from "./pages/receipt.ts";
import { recordRoutes } from "./pages/records.ts";
import { entryRoutes } from "./pages/register-entries.ts";
import { registerFormRoutes } from "./pages/register-forms.ts";
import { registerRoutes } from "./pages/registers.ts";
import { savedQueryRoutes } from "./pages/saved-queries.ts";
import { calendarRoutes } from "./pages/schedule-calendar.ts";
import { scheduleFormRoutes } from "./pages/schedule-definitions.ts";
import { runRoutes } from "./pages/schedule-runs.ts";
import { scheduleRoutes } from "./pages/schedules.ts";
import { searchRoutes } from "./pages/search.ts";
import { signInRoutes } from "./pages/sign-in.ts";
import { openidRoutes } from "./pages/sign-in-openid.ts";

/** The pages that are in the navigation, in its order. */
const NAVIGATION: readonly NavigationItem[] = [
  { path: "/home", label: "nav.home", scope: "read" },
  { path: "/deposit", label: "nav.deposit", scope: "deposit" },
  { path: "/jobs", label: "nav.jobs", scope: "read" },
  { path: "/archive", label: "nav.archive", scope: "read" },
  { path: "/search", label: "nav.search", scope: "read" },
  { path: "/carts", label: "nav.carts", scope: "read" },
  { path: "/packages", label: "nav.packages", scope: "read" },
  { path: "/crawls", label: "nav.crawls", scope: "read" },
  { path: "/registers", label: "nav.registers", scope: "read" },
  { path: "/schedules", label: "nav.schedules", scope: "read" },
  { path: "/operations", label: "nav.operations", scope: "operate" },
];

/**
 * No script, style, picture or frame but our own, nothing inline, no form to elsewhere, and in no other page's frame
 * (Content Security Policy Level 3).
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "media-src 'self'",
  "frame-src 'self'",
  "connect-src 'self'",
  "worker-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** An asset's address changes with its content. */
const FOR_EVER = "public, max-age=31536000, immutable";
/** More than any form of ours; files are uploaded through the API. */
const FORM_LIMIT_BYTES = 256 * 1024;

/**
 * The web face: pages made here from the services, each whole without script. Who has not signed in is asked to; what goes
 * wrong is a page too.
 */
export const webFace: Face = { home: "/home", routes: pages };

function pages(context: ServerContext, authentication: Authentication): FastifyPluginAsyncZod {
  return async (app) => {
    const assets = await openAssets(context.link(""));
    const shown = pageContext(context, assets);

    app.addContentTypeParser(
      "application/x-www-form-urlencoded",
      { parseAs: "string", bodyLimit: FORM_LIMIT_BYTES },
      async (_request: FastifyRequest, body: string) => Object.fromEntries(new URLSearchParams(body)),
    );
    app.setErrorHandler((error, request, reply) => failed(shown, authentication, error, request, reply));

    app.get<{ Params: { readonly version: string; readonly "*": string } }>(
      "/assets/:version/*",
      async ({ params }, reply) => {
        const { type, bytes, isCurrent } = await assets.read(params.version, params["*"]);
        return reply
          .type(type)
          .header("cache-control", isCurrent ? FOR_EVER : "no-cache")
          .send(bytes);
      },
    );

    await app.register(signInRoutes(shown));
    if (context.openid) await app.register(openidRoutes(shown, context.openid));
    await app.register(async (guarded) => {
      guarded.addHook("onRequest", authentication.require);
      // Of forms the body is known only now; of scripts, `authentication` has looked at the head.
      guarded.addHook("preValidation", async ({ routeOptions, session, body }) => {
        if (!routeOptions.config.isForm || session === undefined) return;
        const { formToken } = Object(body) as Record<string, unknown>;
        requireFormToken(session, String(formToken ?? ""));
      });
      for (const routes of [
        homeRoutes,
        depositRoutes,
        receiptRoutes,
        jobRoutes,
        archiveRoutes,
        fileRoutes,
        searchRoutes,
        savedQueryRoutes,
        recordRoutes,
        cartPageRoutes,
        packagePageRoutes,
        packageStatisticsRoutes,
        crawlPageRoutes,
        extractionRoutes,
        registerRoutes,
        registerFormRoutes,
        entryRoutes,
        scheduleRoutes,
        calendarRoutes,
        runRoutes,
        scheduleFormRoutes,
        crontabImportRoutes,
        operationRoutes,
      ])
        await guarded.register(routes(shown));
    });
  };
}

function pageContext(context: ServerContext, assets: Assets): PageContext {
  const { link, version } = context;
  function readerOf({ principal, session, headers }: FastifyRequest): Reader {
    const { language, say } = messagesFor(headers["accept-language"]);
    return { principal, formToken: formTokenOf(session), language, say, link, assets, version };
  }
  return {
    ...context,
    navigation: NAVIGATION,
    readerOf,
    async show(request, reply, page: Page) {
      return reply
        .type("text/html; charset=utf-8")
        .headers({
          "content-security-policy": POLICY,
          "referrer-policy": "same-origin",
          "cache-control": "no-store",
          "cross-origin-opener-policy": "same-origin",
        })
        .send(markupOf(layout(readerOf(request), NAVIGATION, page)));
    },
  };
}

/** Without a session, forms come from this machine, and `origin-guard.ts` judges where they were shown. */
const formTokenOf = (session: Session | undefined) => session?.formToken ?? "";

/** Who must sign in is sent there, and back afterwards. */
async function failed(
  pages: PageContext,
  authentication: Authentication,
  thrown: FastifyError | Error | unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const error = asAppError(thrown);
  if (error.code === "token_missing" || error.code === "token_invalid") {
    const back = request.method === "GET" ? `?to=${encodeURIComponent(request.url)}` : "";
    return reply.redirect(pages.link(`/sign-in${back}`), 303);
  }
  const status = statusOf(error);
  if (status >= 500) request.log.error({ err: thrown, code: error.code }, error.message);
  // A page that shows an error still shows who reads it, if that can be found out.
  request.principal ??= await authentication.identify(request).catch((reason: unknown) => {
    if (reason instanceof AppError) return request.principal;
    throw reason;
  });
  const { say, link } = pages.readerOf(request);
  return pages.show(request, reply.code(status), {
    title: say("problem.title"),
    body: html`<p class="notice">${error.message}</p>
<p class="soft">${say("problem.code")}: <a href="${link(`/docs/errors#${error.code}`)}"><code>${error.code}</code></a> · ${say("problem.request")}: <code>${request.id}</code></p>
<p><a href="${link("/home")}">${say("problem.home")}</a></p>`,
  });
}
