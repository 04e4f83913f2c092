import type { FastifyPluginAsync, FastifyRequest } from "fastify";
import { type Principal, requireScope } from "../../core/access/access.ts";
import type { Scope } from "../../core/access/access-stores.ts";
import type { Crawl } from "../../core/crawl/crawl.ts";
import type { FeedItem } from "../../core/crawl/crawls.ts";
import { AppError } from "../../core/errors.ts";
import type { Extraction, ExtractionCounts } from "../../core/extract/extraction.ts";
import { type CrawlId, crawlId } from "../../core/ids.ts";
import type { AllowedMethods } from "../allowed-methods.ts";
import type { Authentication } from "../authentication.ts";
import { asAppError, statusOf } from "../problem.ts";
import type { ServerContext } from "../server-deps.ts";
import { passBodiesThrough } from "../upload/request-body.ts";
import { collections } from "./xtract-collections.ts";
import { DOCUMENTS, type SentDocument, sentDocument, tokenIn, understood } from "./xtract-document.ts";

/** What the original has no word for is called by ours, in capitals. */
const EXTRACT_STATUS: Readonly<Record<Extraction["status"], string>> = {
  waiting: "INIT",
  extracting: "EXTRACTING",
  complete: "COMPLETED",
  failed: "FAILED",
  cancelled: "CANCELLED",
};
const NOTHING: ExtractionCounts = { pulled: 0, toSchedule: 0, success: 0, failed: 0, pending: 0, unknown: 0 };

/** In the feed of a crawl, all clients of the door are one reader. */
const CONSUMER = "xtract";
const FLUSH_DEFAULT = 100;
const FLUSH_LIMIT = 1_000;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Clients keep their ids for as long as they run. */
const PASS_MS = 30 * 86_400_000;
/** Whoever shows an id that was signed for a crawl may look at that crawl. */
const HOLDER: Principal = { name: "xtract", scopes: ["operate"], via: "token" };

type Answer = Readonly<Record<string, unknown>>;

interface Asked {
  readonly request: FastifyRequest;
  readonly document: SentDocument;
}

/**
 * Xtract's crawler and its service as the Python SDK (0.0.7a6 to a11) knows them, on one address: JSON in and out, also
 * with GET; always status 200, as its clients look at nothing but the body.
 *
 * Nothing of a body is logged, as it holds tokens.
 */
export const xtract =
  (context: ServerContext, authentication: Authentication, allowed: AllowedMethods): FastifyPluginAsync =>
  async (app) => {
    const { crawls, extractions, offloads, audit, clock, links } = context;
    const { urlOf, pathOf } = collections(context.options.xtract);

    passBodiesThrough(app);
    app.setErrorHandler((thrown, request) => {
      const error = told(request, thrown);
      return { status: statusOf(error), message: error.message, code: error.code };
    });
    app.setNotFoundHandler(async (request, reply) => {
      const isKnown = allowed.of(request.url.split("?")[0] ?? "").length > 0;
      const error = new AppError(isKnown ? "method_not_allowed" : "route_unknown");
      return reply.code(statusOf(error)).send({ status: statusOf(error), message: error.message, code: error.code });
    });

    /** @param failed what takes the place of the answer when there is none. */
    function route(
      path: string,
      answer: (asked: Asked) => Promise<Answer>,
      failed: (error: AppError, document: SentDocument) => Answer,
    ): void {
      app.route({
        method: ["GET", "POST"],
        url: path,
        async handler(request, reply) {
          let document: SentDocument = {};
          try {
            document = await sentDocument(request);
            return await answer({ request, document });
          } catch (thrown) {
            const error = told(request, thrown);
            // Its rest is still on its way: the connection is of no more use.
            if (error.code === "body_too_large") reply.header("connection", "close");
            return { ...failed(error, document), code: error.code };
          }
        },
      });
    }

    async function sender({ request, document }: Asked, scope: Scope): Promise<Principal> {
      const principal = await authentication.identify(request, request.headers.authorization ?? tokenIn(document));
      requireScope(principal, scope);
      return principal;
    }

    /**
     * Clients show no token when they ask how a crawl stands. Where one is needed, the id that they were given is signed, and
     * does for it; any other id is worth nothing without a token.
     */
    async function reader(asked: Asked): Promise<readonly [Principal, CrawlId]> {
      const { crawl_id: text } = asked.document;
      const pass = typeof text === "string" ? links.read("crawl", text) : undefined;
      if (pass && pass.expiresAt > clock.now()) return [HOLDER, crawlId(pass.id)];
      return [await sender(asked, "read"), namedCrawl(text)];
    }

    /** @throws AppError crawl_unknown for what can be no crawl's id. */
    function namedCrawl(text: unknown): CrawlId {
      const id = typeof text === "string" ? (links.read("crawl", text)?.id ?? text) : "";
      if (!UUID.test(id)) throw new AppError("crawl_unknown", { id });
      return crawlId(id);
    }

    route(
      "/crawl",
      async (asked) => {
        const principal = await sender(asked, "crawl");
        const { endpoints } = understood(DOCUMENTS.crawl, asked.document);
        const crawl = await crawls.start(principal, {
          endpoints: endpoints.flatMap(({ repo_type: type, eid, dir_paths: folders, grouper }) => {
            if (!/^(globus|local)$/i.test(type))
              throw new AppError("request_invalid", { repo_type: type, expected: "globus or local" });
            return folders.map((folder) => ({ url: urlOf(eid, folder), grouper: grouper ?? undefined }));
          }),
        });
        await audit.record(principal.name, "crawl.start", `crawl/${crawl.id}`, {
          endpoints: crawl.endpoints.map(({ url }) => url),
        });
        const pass = { kind: "crawl", id: crawl.id, generation: 0, expiresAt: clock.now() + PASS_MS } as const;
        return { crawl_id: principal.via === "local" ? crawl.id : links.sign(pass), status: "200 (OK)" };
      },
      ({ message }) => ({ crawl_id: null, message, error: true }),
    );

    route(
      "/get_crawl_status",
      async (asked) => {
        const crawl = await crawls.get(...(await reader(asked)));
        return { crawl_id: asked.document.crawl_id, ...crawlStatus(crawl) };
      },
      unfound,
    );

    for (const path of ["/fetch_crawl_mdata", "/fetch_mdata"])
      route(
        path,
        async (asked) => {
          const [principal, id] = await reader(asked);
          const { n, first_n_files, next_n_files } = understood(DOCUMENTS.flush, asked.document);
          const limit = Math.min(n ?? first_n_files ?? next_n_files ?? FLUSH_DEFAULT, FLUSH_LIMIT);
          const { endpoints } = await crawls.get(principal, id);
          const { items, isDrained } = await crawls.flush(principal, id, CONSUMER, limit);
          const folders = endpoints.map(({ url }) => pathOf(url));
          return {
            crawl_id: asked.document.crawl_id,
            num_files: items.length,
            file_ls: items.map((item) => flushedFile(item, folders[item.endpoint] ?? "")),
            queue_empty: isDrained,
          };
        },
        (error, document) => ({ ...unfound(error, document), num_files: 0, file_ls: [], queue_empty: false }),
      );

    route(
      "/heartbeat",
      async (asked) => {
        const { finishedAt } = await crawls.get(...(await reader(asked)));
        return { crawl_id: asked.document.crawl_id, status: finishedAt === null ? "OK" : "STOP" };
      },
      (error, document) => ({ ...unfound(error, document), status: "STOP" }),
    );

    route(
      "/extract",
      async (asked) => {
        const principal = await sender(asked, "crawl");
        const id = namedCrawl(asked.document.crawl_id);
        const { local_mdata_path, metadata_directory } = understood(DOCUMENTS.extract, asked.document);
        const recordsFolder = local_mdata_path || metadata_directory || undefined;
        const extraction = await extractions.start(principal, id, { recordsFolder });
        await audit.record(principal.name, "extraction.start", `extraction/${extraction.id}`, { crawl: id });
        return { status: 200, message: "started extraction!", crawl_id: asked.document.crawl_id };
      },
      refused,
    );

    route(
      "/get_extract_status",
      async (asked) => {
        const [principal, id] = await reader(asked);
        const [extraction] = await extractions.ofCrawl(principal, id);
        if (!extraction) throw new AppError("extraction_unknown", { crawl: id });
        const { status, counts } = extraction;
        return { crawl_id: asked.document.crawl_id, status: EXTRACT_STATUS[status], counters: counters(counts) };
      },
      (error, document) => ({ ...unfound(error, document), status: "ERROR", counters: counters(NOTHING) }),
    );

    // Clients name a folder of containers. Ours are registered by operators, and lie where the settings say.
    route(
      "/config_containers",
      async (asked) => {
        await sender(asked, "crawl");
        const names = (await extractions.extractors()).map(({ name }) => name);
        return { status: 200, message: `Extractors: ${names.join(", ")}` };
      },
      refused,
    );

    // Not the original's: its client asks Globus itself.
    route(
      "/offload",
      async (asked) => {
        const principal = await sender(asked, "crawl");
        const asking = understood(DOCUMENTS.offload, asked.document);
        const folders = new Set<string>();
        for (const text of asking.crawl_ids) {
          const id = namedCrawl(text);
          const found = await extractions.ofCrawl(principal, id);
          const folder = found.find(({ recordsFolder }) => recordsFolder !== null)?.recordsFolder;
          if (!folder)
            throw new AppError("extraction_unknown", { crawl: id, expected: "one with a folder for records" });
          folders.add(folder);
        }
        const sources = [...folders];
        const { job, folder } = await offloads.start(principal, {
          sources,
          target: urlOf(asking.dest_ep_id, asking.dest_path || "/"),
          mode: asking.delete_source ? "move" : "copy",
          timeoutMs: asking.timeout * 1_000,
        });
        await audit.record(principal.name, "offload.start", `job/${job}`, { sources, to: folder });
        return { status: 202, job_id: job, path: `${pathOf(folder)}/` };
      },
      refused,
    );

    const functional = { status: "FUNCTIONAL", code: 200, message: "Welcome to Longshore's door for Xtract. 200 (OK)" };
    for (const path of ["/", "/test"])
      app.route({ method: ["GET", "POST"], url: path, handler: async () => functional });
  };

/** In our words; what is our fault goes to the log. */
function told(request: FastifyRequest, thrown: unknown): AppError {
  const error = asAppError(thrown);
  if (statusOf(error) >= 500) request.log.error({ err: thrown, code: error.code }, error.message);
  return error;
}

function refused(error: AppError): Answer {
  return { status: statusOf(error), message: error.message };
}

function unfound({ code, message }: AppError, { crawl_id: id = null }: SentDocument): Answer {
  return { crawl_id: id, error: code === "crawl_unknown" ? "crawl_id not found!" : message };
}

/** Clients wait for `complete` alone; what could not be read is counted in `errors`. */
function crawlStatus({ status, counts, error }: Crawl): Answer {
  return {
    crawl_status: status === "partial" ? "complete" : status,
    files_crawled: counts.files,
    bytes_crawled: counts.bytes,
    groups_crawled: counts.groups,
    directories_crawled: counts.directories,
    errors: counts.errors,
    ...(error && { message: error.message }),
  };
}

/** @param folder where the endpoint is. */
function flushedFile({ path, sizeBytes, file, crawledAt }: FeedItem, folder: string): Answer {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  return {
    path: `${folder}/${path}`,
    file_id: file,
    size: sizeBytes,
    crawl_timestamp: crawledAt / 1_000,
    // As the original has it: with its case, and of a hidden file all of the name.
    metadata: { physical: { size: sizeBytes, extension: dot < 0 ? null : name.slice(dot + 1), path_type: "globus" } },
  };
}

function counters({ pulled, toSchedule, success, failed, pending, unknown }: ExtractionCounts): Answer {
  const scheduled = toSchedule - unknown;
  return {
    cumu_pulled: pulled,
    cumu_to_schedule: toSchedule,
    cumu_scheduled: scheduled,
    cumu_orch_enter: scheduled,
    flagged_unknown: unknown,
    fx: { success, failed, pending },
  };
}
