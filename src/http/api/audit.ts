import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { OUTCOMES } from "../../core/access/access-stores.ts";
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
    software: z.string().nullable().describe("What recorded it: name/version. null in entries older than this field."),
    outcome: z.enum(OUTCOMES).nullable().describe("null likewise."),
    previousHash: z.string().describe("`hash` of the entry before; 64 zeros for the first."),
    hash: z
      .string()
      .describe(
        "SHA-256, hex, over the entry without it and without what is null, in canonical JSON (RFC 8785), `at` in milliseconds.",
      ),
  })
  .meta({ id: "AuditEntry", description: "Who did what; each entry seals the ones before it." });

const Text = z.string().min(1).max(1_000).optional();
export const AuditFilterFields = {
  actor: Text.describe("Only what this one did."),
  action: Text.describe("Only this, such as job.cancel."),
  target: Text.describe("Only what was done to this, such as transaction/12."),
};

/** A head of an earlier verification. */
export const NotedHead = z
  .strictObject({
    seq: z.coerce.number().int().positive().optional().describe("Of a head that was noted."),
    hash: z
      .string()
      .regex(/^[0-9a-f]{64}$/, "expected 64 hex digits")
      .optional()
      .describe("Likewise."),
  })
  .refine(({ seq, hash }) => (seq === undefined) === (hash === undefined), "seq and hash go together");

const HeadSchema = z.object({ seq: z.int(), hash: z.string() });
const VerdictSchema = z
  .object({
    entries: z.int().describe("How many are in order, from the first on."),
    brokenAt: z.int().nullable().describe("`seq` of the first entry that is not in order."),
    head: HeadSchema.nullable().describe(
      "The last entry that is in order: to be noted where the database's keepers cannot reach.",
    ),
    hasNoted: z.boolean().nullable().describe("Whether the log still has the head that was given."),
  })
  .meta({ id: "AuditVerdict" });

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
          querystring: z.strictObject({ ...PAGE_PARAMS, ...AuditFilterFields }),
          response: { 200: pageOf(AuditSchema), ...problems },
        },
      },
      async ({ query }) => {
        const found = await deps.audit.list(query.cursor ?? 0, query.limit + 1, {
          ...(query.actor !== undefined && { actor: query.actor }),
          ...(query.target !== undefined && { target: query.target }),
          ...(query.action !== undefined && { actions: [query.action] }),
        });
        return cutPage(
          found,
          query.limit,
          ({ seq }) => seq,
          ({ at, details, ...entry }) => ({ ...entry, at: isoTime(at), details: { ...details } }),
        );
      },
    );

    app.get(
      "/audit/verification",
      {
        config: { scope: "operate" },
        schema: {
          tags: ["access"],
          summary: "Recompute the whole audit log",
          description: "A head of an earlier verification shows that the log's end was not cut off or written anew.",
          querystring: NotedHead,
          response: { 200: VerdictSchema, ...problems },
        },
      },
      ({ query: { seq, hash } }) =>
        deps.audit.verifyChain(seq === undefined || hash === undefined ? undefined : { seq, hash }),
    );
  };
