import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import type { Variable } from "../../core/environment/environment.ts";
import { scopeOf } from "../../core/environment/scope.ts";
import type { ServerContext } from "../server-deps.ts";
import { pageOf } from "./paging.ts";
import { NoQuery, problems } from "./schemas.ts";

const FACTS = {
  scope: z.string().describe("Whom it is for: global, register:NAME or schedule:NAME. The narrower wins."),
  name: z.string(),
  setAt: z.iso.datetime(),
  setBy: z.string(),
};
const NamedValueSchema = z
  .object({ ...FACTS, value: z.string() })
  .meta({ id: "NamedValue", description: "A variable for what registers and schedules run." });
const SecretSchema = z
  .object({
    ...FACTS,
    readable: z.boolean().describe("false: sealed under another key than the server's. It has to be set again."),
  })
  .meta({ id: "Secret", description: "A variable whose value nobody is shown." });

const VariableParams = z.strictObject({ scope: z.string().describe("Percent-encoded."), name: z.string() });
const ListParams = z.strictObject({ scope: z.string().optional().describe("Only what is set for this one.") });
const ValueBody = z.strictObject({ value: z.string().describe("At most 8 KiB of text.") });

const valueOnWire = ({ scope, name, value, setAt, setBy }: Variable): z.output<typeof NamedValueSchema> => ({
  scope,
  name,
  value: value ?? "",
  setAt: isoTime(setAt),
  setBy,
});
const secretOnWire = ({ scope, name, readable, setAt, setBy }: Variable): z.output<typeof SecretSchema> => ({
  scope,
  name,
  readable,
  setAt: isoTime(setAt),
  setBy,
});

export const environmentRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    await app.register(
      variableRoutes(context, {
        kind: "values",
        listedFor: "operate",
        schema: NamedValueSchema,
        onWire: valueOnWire,
        what: "named value",
      }),
      { prefix: "/environment" },
    );
    await app.register(
      variableRoutes(context, {
        kind: "secrets",
        listedFor: "admin",
        schema: SecretSchema,
        onWire: secretOnWire,
        what: "secret",
      }),
      { prefix: "/secrets" },
    );
  };

type Shown = z.output<typeof NamedValueSchema> | z.output<typeof SecretSchema>;

interface VariableFace {
  readonly kind: "values" | "secrets";
  readonly listedFor: "operate" | "admin";
  readonly schema: z.ZodType<Shown, Shown>;
  onWire(variable: Variable): Shown;
  readonly what: string;
}

/** Values and secrets differ in what is shown of them. */
const variableRoutes =
  (
    { environment, audit }: ServerContext,
    { kind, listedFor, schema, onWire, what }: VariableFace,
  ): FastifyPluginAsyncZod =>
  async (app) => {
    const action = kind === "secrets" ? "secret" : "environment";

    app.get(
      "/",
      {
        config: { scope: listedFor },
        schema: {
          tags: ["environment"],
          summary: `Every ${what}, by scope and name, on one page`,
          querystring: ListParams,
          response: { 200: pageOf(schema), ...problems },
        },
      },
      async ({ query }) => ({
        items: (await environment.list(kind, query.scope === undefined ? undefined : scopeOf(query.scope))).map(onWire),
        next: null,
      }),
    );

    app.put(
      "/:scope/:name",
      {
        config: { scope: "admin" },
        schema: {
          tags: ["environment"],
          summary: `Set a ${what}`,
          description: "Takes the place of what is set under this name, be it a value or a secret.",
          params: VariableParams,
          querystring: NoQuery,
          body: ValueBody,
          response: { 200: schema, ...problems },
        },
      },
      async ({ principal, params, body }) => {
        const scope = scopeOf(params.scope);
        const set = await environment.set(principal.name, {
          scope,
          name: params.name,
          value: body.value,
          secret: kind === "secrets",
        });
        await audit.record(principal.name, `${action}.set`, `${action}/${scope}/${params.name}`);
        return onWire(set);
      },
    );

    app.delete(
      "/:scope/:name",
      {
        config: { scope: "admin" },
        schema: {
          tags: ["environment"],
          summary: `Remove a ${what}`,
          params: VariableParams,
          querystring: NoQuery,
          response: { 204: z.undefined().describe("It is gone."), ...problems },
        },
      },
      async ({ principal, params }, reply) => {
        const scope = scopeOf(params.scope);
        await environment.remove(kind, scope, params.name);
        await audit.record(principal.name, `${action}.remove`, `${action}/${scope}/${params.name}`);
        return reply.code(204).send();
      },
    );
  };
