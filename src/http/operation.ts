import type { FastifyRequest } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { requireScope } from "../core/access/access.ts";
import type { Authentication } from "./authentication.ts";
import { health, readiness } from "./health.ts";
import type { ServerContext } from "./server-deps.ts";
import { errorsPage, welcome, welcomePage } from "./welcome.ts";

const failing =
  ({ log }: FastifyRequest) =>
  (error: unknown, check: string) =>
    log.error({ err: error, check }, "health check");

/**
 * What is not the API but about the server: for operators, monitors, and whoever finds the address.
 * @param home where people begin; they are told of the addresses when there are no pages.
 */
export const operationRoutes =
  (
    context: ServerContext,
    authentication: Authentication,
    doors: readonly string[],
    home?: string,
  ): FastifyPluginAsyncZod =>
  async (app) => {
    app.get("/", async (request, reply) => {
      const facts = welcome(context, doors);
      if (!request.headers.accept?.includes("text/html")) return facts;
      if (home !== undefined) return reply.redirect(context.link(home), 303);
      return reply.type("text/html; charset=utf-8").send(welcomePage(facts));
    });

    app.get("/docs/errors", (_request, reply) => reply.type("text/html; charset=utf-8").send(errorsPage()));

    app.get("/openapi.json", async (_request, reply) =>
      reply.type("application/json; charset=utf-8").send(await context.apiDescription()),
    );

    await app.register(probeRoutes(context, authentication));
  };

/** What monitors ask of servers, and of workers that have a port for it. */
export const probeRoutes =
  (context: ServerContext, authentication: Authentication): FastifyPluginAsyncZod =>
  async (app) => {
    app.get("/livez", { config: { uncounted: "all" } }, async (_request, reply) =>
      reply.header("cache-control", "no-store").send({ alive: true }),
    );

    app.get("/readyz", { config: { uncounted: "all" } }, async (request, reply) => {
      const state = await readiness(context, failing(request));
      return reply
        .code(state.ready ? 200 : 503)
        .header("cache-control", "no-store")
        .send(state);
    });

    app.get("/healthz", { config: { uncounted: "all" } }, async (request, reply) => {
      const state = await health(context, failing(request));
      return reply
        .code(state.ok ? 200 : 503)
        .header("cache-control", "no-store")
        .send(state);
    });

    app.get("/metrics", { config: { uncounted: "all" } }, async (request, reply) => {
      requireScope(await authentication.identify(request), "operate");
      return reply.type(context.metrics.contentType).send(await context.metrics.render());
    });
  };
