import { randomUUID } from "node:crypto";
import Fastify, { type FastifyInstance, type FastifyPluginAsync } from "fastify";
import { serializerCompiler, validatorCompiler } from "fastify-type-provider-zod";
import { AppError } from "../core/errors.ts";
import { type AllowedMethods, allowedMethods } from "./allowed-methods.ts";
import { apiRoutes } from "./api/api.ts";
import { type Authentication, authentication, clientAddress } from "./authentication.ts";
import { ckanpackager } from "./doors/ckanpackager.ts";
import { elasticsearch } from "./doors/elasticsearch.ts";
import { pacificaArchive } from "./doors/pacifica-archive.ts";
import { pacificaCart } from "./doors/pacifica-cart.ts";
import { pacificaIngest } from "./doors/pacifica-ingest.ts";
import { pacificaUniqueid } from "./doors/pacifica-uniqueid.ts";
import { xtract } from "./doors/xtract.ts";
import { cartLinkRoutes } from "./links/cart-links.ts";
import { packageLinkRoutes } from "./links/package-links.ts";
import { operationRoutes, probeRoutes } from "./operation.ts";
import { refuseMalformedRequest, sendProblem } from "./problem.ts";
import { limitRates } from "./rate-limit.ts";
import { logRequest, ServerLog, servedRequest, withoutSecrets } from "./request-log.ts";
import type { ServerContext, ServerDeps } from "./server-deps.ts";
import { traceRequests } from "./trace-requests.ts";
import { endUnreadBody } from "./upload/request-body.ts";

const SILENCE_MS = 120_000;
const HEAD_MS = 60_000;
const KEEP_ALIVE_MS = 65_000; // longer than proxies keep their side open: theirs closes first
const CLOSE_GRACE_MS = 10_000;
const BODY_LIMIT_BYTES = 1024 ** 2;
/** Ids of documents may have 512 bytes, and each may take three characters. */
const PARAM_LIMIT = 3 * 512;

/** Protocols of other systems, by the name they have in paths and settings. */
const DOORS = {
  "pacifica-ingest": pacificaIngest,
  "pacifica-cart": pacificaCart,
  "pacifica-archive": pacificaArchive,
  "pacifica-uniqueid": pacificaUniqueid,
  ckanpackager,
  xtract,
  elasticsearch,
} as const;
export type DoorName = keyof typeof DOORS;
export const DOOR_NAMES = Object.keys(DOORS) as readonly DoorName[];

/** Pages for people, at paths of their own. */
export interface Face {
  /** The path of the page to begin with. */
  readonly home: string;
  routes(context: ServerContext, auth: Authentication): FastifyPluginAsync;
}

/** The native API under `/api/v1`, every door under `/doors/<name>`, and what operators need. Not yet listening. */
export async function buildServer(deps: ServerDeps, face?: Face): Promise<FastifyInstance> {
  const { app, context, auth, allowed } = bareServer(deps);
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?")[0] ?? "";
    const methods = allowed.of(path);
    if (methods.length === 0) return sendProblem(request, reply, new AppError("route_unknown", { path }));
    reply.header("allow", methods.join(", "));
    return sendProblem(
      request,
      reply,
      new AppError("method_not_allowed", { method: request.method, allowed: methods }),
    );
  });
  await app.register(
    async (api) => {
      api.addHook("onRequest", auth.require);
      await api.register(apiRoutes(context));
    },
    { prefix: "/api/v1" },
  );
  for (const name of DOOR_NAMES) await app.register(DOORS[name](context, auth, allowed), { prefix: `/doors/${name}` });
  await app.register(packageLinkRoutes(context));
  await app.register(cartLinkRoutes(context));
  await app.register(operationRoutes(context, auth, DOOR_NAMES, face?.home));
  if (face) await app.register(face.routes(context, auth));
  return app;
}

/** One door as the whole of a server, for a port of its own. */
export async function buildDoor(name: DoorName, deps: ServerDeps): Promise<FastifyInstance> {
  const { app, context, auth, allowed } = bareServer(deps);
  await app.register(DOORS[name](context, auth, allowed));
  return app;
}

/** Only what monitors ask, for a process that serves nothing else. */
export async function buildProbes(deps: ServerDeps): Promise<FastifyInstance> {
  const { app, context, auth } = bareServer(deps);
  await app.register(probeRoutes(context, auth));
  return app;
}

interface BareServer {
  readonly app: FastifyInstance;
  readonly context: ServerContext;
  readonly auth: Authentication;
  readonly allowed: AllowedMethods;
}

/** What all our servers have in common: limits, log, errors, and how they close. */
function bareServer(deps: ServerDeps): BareServer {
  const app: FastifyInstance = Fastify({
    loggerInstance: withoutSecrets(deps.logger),
    logController: new ServerLog(),
    genReqId: ({ headers }) => plainId(headers["x-request-id"]) ?? randomUUID(),
    bodyLimit: BODY_LIMIT_BYTES,
    routerOptions: { maxParamLength: PARAM_LIMIT },
    // An upload may take days, as long as it moves.
    requestTimeout: 0,
    connectionTimeout: deps.options.silenceMs ?? SILENCE_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: { headersTimeout: HEAD_MS },
    clientErrorHandler: refuseMalformedRequest,
    frameworkErrors: (error, request, reply) => void sendProblem(request, reply, error),
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.decorateRequest("principal");
  app.decorateRequest("session", undefined);

  const allowed = allowedMethods(app);
  const limit = limitRates(app, deps.callLimits, clientAddress(deps.options));
  const closing = closeInTime(app, deps.options.closeGraceMs ?? CLOSE_GRACE_MS);
  const prefix =
    deps.options.publicUrl === undefined ? "" : new URL(deps.options.publicUrl).pathname.replace(/\/$/, "");
  const underWay = new Set<Promise<unknown>>();

  if (deps.tracer) traceRequests(app, deps.tracer);
  app.addHook("onRequest", async (request, reply) => {
    reply.headers({ "x-request-id": request.id, "x-content-type-options": "nosniff" });
    // Fastify's `onResponse` does not come when the client leaves early; this does.
    reply.raw.once("close", () => {
      endUnreadBody(request);
      deps.metrics.request(servedRequest(request, reply));
      logRequest(request, reply);
    });
  });
  app.addHook("onClose", async () => {
    await Promise.allSettled(underWay);
  });
  app.setErrorHandler((error, request, reply) => sendProblem(request, reply, error));
  const context: ServerContext = {
    ...deps,
    closing,
    link: (path) => `${prefix}${path}`,
    async finish(work) {
      underWay.add(work);
      try {
        return await work;
      } finally {
        underWay.delete(work);
      }
    },
  };
  return { app, context, auth: authentication(deps, limit), allowed };
}

/** @returns a signal for streams without an end; requests under way get `graceMs`, then their connections are cut. */
function closeInTime(app: FastifyInstance, graceMs: number): AbortSignal {
  const closing = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  app.addHook("preClose", async () => {
    closing.abort();
    timer = setTimeout(() => app.server.closeAllConnections(), graceMs);
  });
  app.addHook("onClose", async () => clearTimeout(timer));
  return closing.signal;
}

/** A request id that a proxy has given, when it is harmless in a log. */
function plainId(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" && /^[\w.:-]{1,64}$/.test(value) ? value : undefined;
}
