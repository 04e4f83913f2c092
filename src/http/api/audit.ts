import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import type { ServerDeps } from "../server-deps.ts";
import { cutPage, PAGE_PARAMS, pageOf } from "./paging.ts";
import { problems } from "./schemas.ts";

const AuditSchema = z
  .object({
    seq: z.int(),
    at: z.iso.datetime(),
    actor: z.string(),
    action: z.string().describe("What was done: bundle.deposit, job.cancel, token.create, …"),
    target: z.string().describe("What it was done to, such as job/12."),
    details: z.record(z.string(), z.unknown()),
    previousHash: z.string().describe("`hash` of the entry before; 64 zeros for the first."),
    hash: z
      .string()
      .describe("SHA-256, hex, over the entry without it, in canonical JSON (RFC 8785), `at` in milliseconds."),
  })
  .meta({ id: "AuditEntry", description: "Who did what; each entry seals the ones before it." });

export const auditRoutes =
  (deps: ServerDeps): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      "/audit",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["access"],
          summary: "The audit log, oldest first",
          querystring: z.strictObject(PAGE_PARAMS),
          response: { 200: pageOf(AuditSchema), ...problems },
        },
      },
      async ({ query }) => {
        const found = await deps.audit.list(query.cursor ?? 0, query.limit + 1);
        return cutPage(
          found,
          query.limit,
          ({ seq }) => seq,
          ({ at, details, ...entry }) => ({ ...entry, at: isoTime(at), details: { ...details } }),
        );
      },
    );
  };
