import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { TokenInfo } from "../../core/access/tokens.ts";
import { isoTime } from "../../core/clock.ts";
import { tokenId } from "../../core/ids.ts";
import { ratesOf } from "../../core/rate.ts";
import type { ServerContext } from "../server-deps.ts";
import { NoQuery, problems, ScopeSchema, timeOrNull } from "./schemas.ts";

const TokenSchema = z
  .object({
    id: z.string(),
    owner: z.string().describe("The principal it speaks for."),
    scopes: z.array(ScopeSchema),
    createdAt: z.iso.datetime(),
    expiresAt: z.iso.datetime().nullable(),
    revokedAt: z.iso.datetime().nullable(),
    lastUsedAt: z.iso.datetime().nullable(),
    rateLimit: z.string().nullable().describe("Most requests; null: as many as everybody."),
  })
  .meta({ id: "Token" });

export const NewTokenBody = z.strictObject({
  owner: z.string().trim().min(1).max(255).describe("The principal it speaks for."),
  scopes: z.array(ScopeSchema).min(1),
  expiresAt: z.iso.datetime({ offset: true }).nullable().default(null).describe("null: valid until it is revoked."),
  rateLimit: z
    .string()
    .max(200)
    .refine(
      (text) => ratesOf(text) !== undefined,
      "expected none, or requests in a time, such as 15/900s or 600/m,10000/d",
    )
    .nullable()
    .default(null)
    .describe("Most requests, in place of what the server's setting says; null: as many as everybody."),
});

export const tokenRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      "/tokens",
      {
        config: { scope: "admin" },
        schema: {
          tags: ["access"],
          summary: "All tokens, without their secrets",
          querystring: NoQuery,
          response: { 200: z.object({ items: z.array(TokenSchema), next: z.null() }), ...problems },
        },
      },
      async () => ({ items: (await context.tokens.list()).map(tokenOnWire), next: null }),
    );

    app.post(
      "/tokens",
      {
        config: { scope: "admin" },
        schema: {
          tags: ["access"],
          summary: "Create a token",
          description: "The first token closes a server that was open on its own machine.",
          querystring: NoQuery,
          body: NewTokenBody,
          response: {
            201: TokenSchema.extend({ token: z.string().describe("The bearer token. Shown this once.") }).meta({
              id: "NewToken",
            }),
            ...problems,
          },
        },
      },
      async ({ principal, body }, reply) => {
        const expiresAt = body.expiresAt === null ? null : Date.parse(body.expiresAt);
        const { token, text } = await context.tokens.create({ ...body, expiresAt });
        await context.audit.record(principal.name, "token.create", `token/${token.id}`, {
          owner: token.owner,
          scopes: token.scopes,
          expiresAt: timeOrNull(expiresAt),
          rateLimit: token.rateLimit,
        });
        return reply
          .code(201)
          .header("cache-control", "no-store")
          .send({ ...tokenOnWire(token), token: text });
      },
    );

    app.delete(
      "/tokens/:id",
      {
        config: { scope: "admin" },
        schema: {
          tags: ["access"],
          summary: "Revoke a token",
          params: z.strictObject({ id: z.string().transform(tokenId) }),
          querystring: NoQuery,
          response: { 204: z.undefined().describe("It is not valid any more."), ...problems },
        },
      },
      async ({ principal, params }, reply) => {
        await context.tokens.revoke(params.id);
        await context.audit.record(principal.name, "token.revoke", `token/${params.id}`);
        return reply.code(204).send();
      },
    );
  };

function tokenOnWire(token: TokenInfo): z.output<typeof TokenSchema> {
  return {
    id: token.id,
    owner: token.owner,
    scopes: [...token.scopes],
    createdAt: isoTime(token.createdAt),
    expiresAt: timeOrNull(token.expiresAt),
    revokedAt: timeOrNull(token.revokedAt),
    lastUsedAt: timeOrNull(token.lastUsedAt),
    rateLimit: token.rateLimit,
  };
}
