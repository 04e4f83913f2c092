import { Readable } from "node:stream";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import type { JobId } from "../../core/ids.ts";
import { FINISHED_STATES, type JobEvent } from "../../core/jobs/job.ts";
import type { JobNews } from "../../core/jobs/jobs.ts";
import type { ServerContext, ServerDeps } from "../server-deps.ts";
import { visibleJob } from "./jobs.ts";
import { cutPage, PAGE_PARAMS, pageOf } from "./paging.ts";
import { JobParams, jobOnWire, problems } from "./schemas.ts";

/** Proxies close what is silent, often after a minute; and a client can tell a quiet job from a dead connection. */
const HEARTBEAT_MS = 15_000;
/** What a client's EventSource waits before it connects anew. */
const RECONNECT_MS = 2_000;

const EventSchema = z
  .object({
    seq: z.int().describe("Grows over all jobs; the `id` of the event in the stream."),
    at: z.iso.datetime(),
    type: z.enum(["state", "task", "note"]),
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "JobEvent", description: "A line of a job's history." });

const lastEventId = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

export const jobEventRoutes =
  (deps: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      "/jobs/:id/events",
      {
        config: { scope: "read" },
        exposeHeadRoute: false, // a stream without an end has no length to tell
        schema: {
          tags: ["jobs"],
          summary: "A job's history, then what happens, until it is finished",
          description:
            "A stream of server-sent events: `state`, `task` and `note` are lines of the history and carry their `seq` as " +
            "`id`; `progress` and the last one, `end`, carry the job. A client that connects anew with `Last-Event-ID` " +
            "misses no line. When JSON is asked for: the history so far, in pages.",
          params: JobParams,
          querystring: z.strictObject({
            ...PAGE_PARAMS,
            lastEventId: lastEventId.optional().describe("Only what came after; the header Last-Event-ID goes first."),
          }),
          headers: z.looseObject({
            "last-event-id": lastEventId.optional().catch(undefined).describe("Only what came after this line."),
          }),
          response: {
            200: {
              description: "The stream, or a page of the history.",
              content: {
                "text/event-stream": { schema: z.custom<Readable>().meta({ type: "string" }) },
                "application/json": { schema: pageOf(EventSchema) },
              },
            },
            ...problems,
          },
        },
      },
      async (request, reply) => {
        const { principal, params, query, headers } = request;
        const job = await visibleJob(deps, principal, params.id);
        const after = headers["last-event-id"] ?? query.lastEventId ?? 0;
        if (wantsJson(request.headers.accept)) {
          const found = await deps.jobs.events(job.id, query.cursor ?? after, query.limit + 1);
          const page = cutPage(found, query.limit, ({ seq }) => seq, eventOnWire);
          return reply.header("content-type", "application/json").send(page);
        }
        const gone = new AbortController();
        reply.raw.once("close", () => gone.abort());
        const stream = Readable.from(eventStream(deps, job.id, after, AbortSignal.any([gone.signal, deps.closing])));
        return reply
          .header("content-type", "text/event-stream")
          .header("cache-control", "no-store")
          .header("x-accel-buffering", "no") // nginx would hold the events back
          .send(stream);
      },
    );
  };

/** The text of the stream (WHATWG HTML §9.2). A server that closes ends it without `end`: the client comes back. */
async function* eventStream(
  { jobs, clock }: ServerDeps,
  id: JobId,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<string> {
  yield `retry: ${RECONNECT_MS}\n\n`;
  const news = jobs.watch(id, after, signal);
  let next = news.next();
  try {
    for (;;) {
      const quiet = new AbortController();
      const first = await Promise.race([
        next,
        clock.sleep(HEARTBEAT_MS, AbortSignal.any([signal, quiet.signal])).then(() => undefined),
      ]);
      quiet.abort();
      if (signal.aborted) return;
      if (first === undefined) {
        yield ": still here\n\n";
        continue;
      }
      if (first.done) break;
      yield message(first.value);
      next = news.next();
    }
    const job = await jobs.get(id);
    if (FINISHED_STATES.includes(job.state)) yield `event: end\ndata: ${JSON.stringify(jobOnWire(job))}\n\n`;
  } finally {
    await news.return(undefined);
  }
}

function message(news: JobNews): string {
  if (news.type === "progress") return `event: progress\ndata: ${JSON.stringify(jobOnWire(news.job))}\n\n`;
  const { seq, type, at, data } = news.event;
  return `id: ${seq}\nevent: ${type}\ndata: ${JSON.stringify({ ...data, at: isoTime(at) })}\n\n`;
}

function eventOnWire({ seq, at, type, data }: JobEvent): z.output<typeof EventSchema> {
  return { seq, at: isoTime(at), type, data };
}

function wantsJson(accept = ""): boolean {
  return accept.includes("application/json") && !accept.includes("text/event-stream");
}
