import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import { hashSecret, sameHash } from "../../core/access/tokens.ts";
import { AppError } from "../../core/errors.ts";
import type { PackageKind } from "../../core/packages/package.ts";
import { type EntryFilter, EVERYTHING } from "../../core/packages/statistics.ts";
import type { AllowedMethods } from "../allowed-methods.ts";
import type { Authentication } from "../authentication.ts";
import { asAppError, statusOf } from "../problem.ts";
import type { ServerContext } from "../server-deps.ts";
import { type SentForm, sentForm } from "./ckanpackager-form.ts";
import { ckanpackagerOrder, DOOR_OWNER, integer } from "./ckanpackager-order.ts";

/** Filters may list thousands of values, and an EML template is a document. */
const FORM_LIMIT_BYTES = 4 * 1024 ** 2;

const TASKS: Readonly<Record<string, PackageKind>> = {
  "/package_datastore": "datastore",
  "/package_dwc_archive": "dwca",
  "/package_url": "url",
};

/** By status: what the original calls it, and what Flask does where the original has no word. */
const ERROR_NAMES: Readonly<Record<number, string>> = {
  400: "BadRequestError",
  401: "NotAuthorizedError",
  404: "NotFound",
  405: "MethodNotAllowed",
  413: "RequestEntityTooLarge",
  429: "TooManyRequests",
  500: "InternalServerError",
  503: "ServiceUnavailable",
};

type Answer = Readonly<Record<string, unknown>>;

/**
 * ckanpackager 0.4.1 as its command line and ckanext-ckanpackager 2.2.9 know it: POST of form fields, `secret` being one
 * of them. Who asks with a JSON document, as the original's own documentation says, is answered with its fields as well.
 *
 * Nothing of a body is logged, as it holds the secret and users' keys.
 */
export const ckanpackager =
  (context: ServerContext, _authentication: Authentication, allowed: AllowedMethods): FastifyPluginAsync =>
  async (app) => {
    const { packages, packageStatistics: statistics, observed } = context;
    const { secret, successMessage, workerCount } = context.options.ckanpackager;
    const expected = secret === undefined ? undefined : hashSecret(secret);
    if (expected === undefined)
      // On a port of its own it is wanted, and of no use.
      app.log[app.prefix === "" ? "warn" : "info"](
        "The ckanpackager door lets nobody in: set LONGSHORE_CKANPACKAGER_SECRET to the secret that its clients send.",
      );
    /** Requests of the documentation's kind. */
    const documents = new WeakSet<FastifyRequest>();

    app.removeAllContentTypeParsers();
    app.addContentTypeParser<Buffer>("*", { parseAs: "buffer", bodyLimit: FORM_LIMIT_BYTES }, (_request, body, done) =>
      done(null, body),
    );
    app.setErrorHandler((error, request, reply) => sendError(request, reply, error));
    app.setNotFoundHandler((request, reply) => {
      const methods = allowed.of(request.url.split("?")[0] ?? "");
      if (methods.length === 0) return refuse(request, reply, 404, "There is nothing at this address");
      return refuse(request, reply.header("allow", methods.join(", ")), 405, "This address answers to POST only");
    });

    function refuse(request: FastifyRequest, reply: FastifyReply, status: number, message: string): FastifyReply {
      return reply.code(status).send({
        status: "failed",
        error: ERROR_NAMES[status],
        message,
        ...(documents.has(request) && { success: false, msg: message }),
      });
    }

    function sendError(request: FastifyRequest, reply: FastifyReply, thrown: unknown): FastifyReply {
      const error = asAppError(thrown);
      const status = statusOf(error);
      if (status >= 500) request.log.error({ err: thrown, code: error.code }, error.message);
      const { reason } = error.details;
      const message = error.code === "request_invalid" && typeof reason === "string" ? reason : error.message;
      return refuse(request, reply, status in ERROR_NAMES ? status : 400, message);
    }

    /** @param path answered with one slash more before it too: clients put their own behind the host's. */
    function post(path: string, answer: (fields: SentForm["fields"], name: string) => Promise<Answer>): void {
      for (const url of [path, `/${path}`])
        app.post<{ Params: { name?: string } }>(url, async (request, reply) => {
          const body = request.body instanceof Buffer ? request.body : Buffer.alloc(0);
          const form = await sentForm(body, request.headers["content-type"]);
          if (typeof form === "string") throw refused(form);
          if (form.isDocument) documents.add(request);
          const given = hashSecret(form.fields.get("secret") ?? "");
          if (expected === undefined || !sameHash(given, expected))
            return refuse(request, reply, 401, "Wrong/missing secret");
          const said = await answer(form.fields, request.params.name ?? "");
          return documents.has(request) ? { ...said, ...(await documented(said)) } : said;
        });
    }

    /** What the documentation promises beside what the original says. */
    async function documented(said: Answer): Promise<Answer> {
      if (!("worker_count" in said)) return { success: true, ...("message" in said && { msg: said.message }) };
      const waiting = Object.values(await observed.queue.depth()).reduce((sum, depth) => sum + depth, 0);
      const { [EVERYTHING]: all } = await statistics.totals(EVERYTHING);
      return { queue_length: waiting, processed_requests: (all?.requests ?? 0) + (all?.errors ?? 0) };
    }

    for (const path of ["/", "/status"]) post(path, async () => ({ worker_count: workerCount }));

    for (const [path, kind] of Object.entries(TASKS))
      post(path, async (fields) => {
        const request = ckanpackagerOrder(kind, fields);
        if (typeof request === "string") throw refused(request);
        const { order } = await packages.order(request);
        const { resourceId } = request.recipe;
        await context.audit.record(DOOR_OWNER, "package.order", `package/${order.id}`, { kind, resourceId });
        return { status: "success", message: successMessage };
      });

    post("/clear_caches", async () => {
      const removed = await packages.clear();
      await context.audit.record(DOOR_OWNER, "package.clear", "packages", { removed });
      return { status: "success", message: "Done." };
    });

    post("/statistics", async (fields) => {
      const counted = Object.entries(await statistics.totals(fields.get("resource_id") || undefined));
      const totals = counted.map(([resource, { emails, requests, errors }]) => [
        resource,
        { emails, requests, errors },
      ]);
      return { status: true, totals: Object.fromEntries(totals) };
    });

    post("/statistics/:name", async (fields, name) => {
      if (name === "requests") {
        const entries = await statistics.requests(entryFilter(fields));
        return {
          success: true,
          requests: entries.map(({ email, resourceId, at, count, domain }) => ({
            email,
            resource_id: resourceId,
            timestamp: seconds(at),
            count,
            domain,
          })),
        };
      }
      if (name === "errors") {
        const entries = await statistics.errors(entryFilter(fields));
        return {
          success: true,
          errors: entries.map(({ email, resourceId, at, message }) => ({
            email,
            resource_id: resourceId,
            timestamp: seconds(at),
            message,
          })),
        };
      }
      throw refused(`Unknown statistics request ${name}`);
    });
  };

/** @throws AppError request_invalid. */
function entryFilter(fields: SentForm["fields"]): EntryFilter {
  const whole = (name: string, otherwise: number) => {
    const value = integer(fields.get(name) || undefined) ?? otherwise;
    if (!Number.isSafeInteger(value) || value < 0) throw refused(`Parameter ${name} is not a whole number`);
    return value;
  };
  const [resourceId, email] = [fields.get("resource_id"), fields.get("email")];
  return {
    offset: whole("offset", 0),
    limit: whole("limit", 100),
    ...(resourceId ? { resourceId } : {}),
    ...(email ? { email } : {}),
  };
}

/** The reason is the whole of what the sender is told. */
const refused = (reason: string) => new AppError("request_invalid", { reason });

const seconds = (epochMs: number) => Math.floor(epochMs / 1000);
