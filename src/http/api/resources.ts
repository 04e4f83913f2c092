import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import type { Principal } from "../../core/access/access.ts";
import { AppError, type DetailValue } from "../../core/errors.ts";
import { type Declaration, fieldName, typedValue } from "../../core/registers/declaration.ts";
import type { Entry, Fields } from "../../core/registers/entry.ts";
import { flatEntry } from "../../core/registers/exchange.ts";
import type { WantedChange } from "../../core/registers/registers.ts";
import { sendProblem } from "../problem.ts";
import type { ServerContext } from "../server-deps.ts";
import { LEGACY_METHODS, legacyFault, legacyPage, sortedJson, sortedJsonList } from "./resource-replies.ts";
import { problems } from "./schemas.ts";

const Reply = z.unknown().describe("What the register's scripts expect: an entry, entries, or how many.");
const PAGE = 100;
const MOST = 1_000;

/** What a request says of entries: fields, and what goes beside them. */
type Body = Readonly<Record<string, DetailValue>>;

/**
 * Registers as plain resources, for scripts: `/api/v1/resources/<register>`. Entries are flat objects in lists; JSON has its
 * keys sorted and is indented. A register that is declared with `legacy` answers word for word as an older API did.
 */
export const resourceRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    const { registers, audit, link } = context;
    // What is no JSON is answered by each register in its own way.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    const config = { scope: "read" as const };
    const params = z.object({ register: z.string() });
    const entryParams = z.object({ register: z.string(), id: z.string() });
    const described = (summary: string) => ({ tags: ["registers"], summary, response: { "2xx": Reply, ...problems } });

    const nameIn = (request: FastifyRequest) => (request.params as { readonly register: string }).register;
    const declarationOf = async (request: FastifyRequest) => (await registers.get(nameIn(request))).declaration;

    app.setErrorHandler(async (error, request, reply) => {
      const declared = await registers.get(nameIn(request)).catch(() => undefined);
      const legacy = declared?.declaration.legacy;
      return (legacy && legacyFault(reply, legacy, error)) ?? sendProblem(request, reply, error);
    });

    const wire = (declaration: Declaration) => (entry: Entry) =>
      declaration.legacy ? fieldsAlone(declaration, entry) : flatEntry(declaration, entry);

    app.get(
      "/resources/:register/all",
      { config, schema: { ...described("All entries that one may see"), params } },
      async (request, reply) => {
        const declaration = await declarationOf(request);
        const entries = registers.each(request.principal, declaration.name, {});
        const list = sortedJsonList(mapped(entries, wire(declaration)));
        return reply.type("application/json").send(Readable.from(list, { objectMode: false }));
      },
    );

    for (const path of ["/resources/:register", "/resources/:register/"])
      app.get(
        path,
        {
          config,
          schema: {
            ...described("Entries whose fields have these values; a page, with the next in `Link`"),
            params,
            querystring: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
          },
        },
        async (request, reply) => {
          const declaration = await declarationOf(request);
          const query = firstOfEach(request.query);
          if (declaration.legacy) return listLegacy(request, reply, declaration, query, path.endsWith("/"));
          const { limit, after, ...filter } = pageIn(declaration, query);
          const found = await registers.entries(request.principal, declaration.name, {
            ...filterOf(declaration, filter),
            afterId: after,
            limit: limit + 1,
          });
          const shown = found.slice(0, limit);
          if (found.length > limit) {
            const next = new URLSearchParams({ ...query, limit: String(limit), after: String(shown.at(-1)?.id) });
            reply.header("link", `<${link(`/api/v1/resources/${declaration.name}?${next}`)}>; rel="next"`);
          }
          return reply.type("application/json").send(Buffer.from(sortedJson(shown.map(wire(declaration)))));
        },
      );

    async function listLegacy(
      request: FastifyRequest,
      reply: FastifyReply,
      declaration: Declaration,
      query: Readonly<Record<string, string>>,
      isHome: boolean,
    ) {
      const known = Object.fromEntries(
        Object.entries(query).filter(([name]) => fieldName(declaration, name) !== undefined),
      );
      if (Object.keys(known).length === 0) {
        const isAsked = Object.keys(query).length > 0;
        const [status, html] = isHome && !isAsked ? [200, declaration.legacy?.home ?? ""] : [404, legacyPage(404)];
        return reply.code(status).type("text/html; charset=utf-8").send(html);
      }
      const entries = registers.each(request.principal, declaration.name, filterOf(declaration, known));
      const list = sortedJson(await Array.fromAsync(mapped(entries, wire(declaration))));
      return reply.type("application/json").send(Buffer.from(list));
    }

    app.get(
      "/resources/:register/:id",
      { config, schema: { ...described("One entry"), params: entryParams } },
      async (request, reply) => {
        const declaration = await declarationOf(request);
        const entry = await registers.entry(request.principal, declaration.name, idOf(request.params.id));
        return reply.type("application/json").send(Buffer.from(sortedJson(wire(declaration)(entry))));
      },
    );

    app.post(
      "/resources/:register",
      { config, schema: { ...described("Make an entry"), params, streams: { "application/json": "Its fields." } } },
      async (request, reply) => {
        const declaration = await declarationOf(request);
        const { legacy, name } = declaration;
        const body = objectIn(request);
        const key = request.headers["idempotency-key"]?.toString();
        const sent = legacy ? knownFields(declaration, body) : body;
        const { id } = await registers.create(request.principal, name, sent, key);
        await audit.record(request.principal.name, "entry.create", `register/${name}/${id}`);
        return reply
          .code(201)
          .type("application/json")
          .header("location", link(`/api/v1/resources/${name}/${id}`))
          .send(Buffer.from(sortedJson({ id, message: legacy?.added ?? "Entry added" })));
      },
    );

    for (const method of ["PUT", "PATCH"] as const) {
      const summary = method === "PUT" ? "Replace an entry" : "Change entries";
      app.route({
        method,
        url: "/resources/:register",
        config,
        schema: {
          ...described(summary),
          params,
          streams: { "application/json": "`id` or `where`, and what changes." },
        },
        async handler(request, reply) {
          const declaration = await declarationOf(request);
          if (declaration.legacy) return refuseMethod(reply);
          const { id, where, ...rest } = objectIn(request);
          const own = Object.hasOwn(declaration.fields, "id") ? { ...rest, ...(id !== undefined && { id }) } : rest;
          const ids = await chosen(request.principal, declaration, own === rest ? id : undefined, where);
          if (method === "PUT" && ids.length !== 1)
            throw new AppError("request_invalid", { expected: "one entry", found: ids.length });
          const changed = await changeAll(request.principal, declaration, ids, wantedIn(own, method));
          const answer = changed.length === 1 && where === undefined ? changed[0] : { changed: changed.length };
          return reply.type("application/json").send(Buffer.from(sortedJson(answer ?? {})));
        },
      });
      app.route({
        method,
        url: "/resources/:register/:id",
        config,
        schema: { ...described(summary), params: entryParams, streams: { "application/json": "What changes." } },
        async handler(request, reply) {
          const declaration = await declarationOf(request);
          const body = declaration.legacy ? knownFields(declaration, objectIn(request)) : objectIn(request);
          const { id } = request.params as z.output<typeof entryParams>;
          const [changed] = await changeAll(request.principal, declaration, [idOf(id)], wantedIn(body, method));
          return reply.type("application/json").send(Buffer.from(sortedJson(changed ?? {})));
        },
      });
    }

    app.delete(
      "/resources/:register",
      {
        config,
        schema: {
          ...described("Remove entries by id or by fields"),
          params,
          streams: { "application/json": "Which." },
        },
      },
      async (request, reply) => {
        const declaration = await declarationOf(request);
        const body = objectIn(request);
        const ids = declaration.legacy
          ? await chosenLegacy(request.principal, declaration, body)
          : await chosen(request.principal, declaration, body.id, withoutId(body));
        for (const id of ids) await removeOne(request.principal, declaration.name, id);
        const answer = declaration.legacy
          ? { message: declaration.legacy.deleted }
          : { deleted: ids.length, message: "Entries deleted" };
        return reply.type("application/json").send(Buffer.from(sortedJson(answer)));
      },
    );

    app.delete(
      "/resources/:register/:id",
      { config, schema: { ...described("Remove an entry"), params: entryParams } },
      async (request, reply) => {
        const { name, legacy } = await declarationOf(request);
        await removeOne(request.principal, name, idOf(request.params.id));
        const message = legacy?.deleted ?? "Entries deleted";
        return reply
          .type("application/json")
          .send(Buffer.from(sortedJson(legacy ? { message } : { deleted: 1, message })));
      },
    );

    app.options("/resources/:register", { config, schema: { hide: true, params } }, async (_request, reply) =>
      reply.header("allow", LEGACY_METHODS).send(),
    );

    function refuseMethod(reply: FastifyReply) {
      return reply.code(405).header("allow", LEGACY_METHODS).type("text/html; charset=utf-8").send(legacyPage(405));
    }

    async function removeOne(principal: Principal, name: string, id: number): Promise<void> {
      await registers.remove(principal, name, id);
      await audit.record(principal.name, "entry.remove", `register/${name}/${id}`);
    }

    async function changeAll(
      principal: Principal,
      declaration: Declaration,
      ids: readonly number[],
      wanted: WantedChange,
    ) {
      const changed: Readonly<Record<string, DetailValue>>[] = [];
      for (const id of ids) {
        changed.push(wire(declaration)(await registers.change(principal, declaration.name, id, wanted)));
        await audit.record(principal.name, "entry.change", `register/${declaration.name}/${id}`);
      }
      return changed;
    }

    /** Ids of the entries that a body means. @throws AppError entry_unknown when there is none. */
    async function chosen(
      principal: Principal,
      declaration: Declaration,
      id: DetailValue | undefined,
      where: DetailValue | undefined,
    ): Promise<readonly number[]> {
      if (id !== undefined) return [(await registers.entry(principal, declaration.name, idOf(String(id)))).id];
      if (!isObject(where) || Object.keys(where).length === 0)
        throw new AppError("request_invalid", { expected: "an id, or fields that say which entries are meant" });
      const query = filterOf(declaration, where);
      const found: Entry[] = await Array.fromAsync(registers.each(principal, declaration.name, query));
      if (found.length === 0) throw new AppError("entry_unknown", { register: declaration.name });
      return found.map((entry) => entry.id);
    }

    async function chosenLegacy(
      principal: Principal,
      declaration: Declaration,
      body: Body,
    ): Promise<readonly number[]> {
      const { name, legacy } = declaration;
      const given = knownFields(declaration, body);
      const names = legacy?.deleteBy.find((set) => set.every((one) => given[one] !== undefined && given[one] !== null));
      if (!names) throw new AppError("request_invalid", { expected: legacy?.undeletable ?? "" });
      const fields = Object.fromEntries(names.map((one) => [one, given[one] ?? null]));
      const found: Entry[] = await Array.fromAsync(registers.each(principal, name, filterOf(declaration, fields)));
      if (found.length > 0) return found.map(({ id }) => id);
      // An id that no entry has as a field is the one that was told when the entry was made.
      const { id } = fields;
      if (names.length === 1 && typeof id === "number") return [(await registers.entry(principal, name, id)).id];
      throw new AppError("entry_unknown", { register: name });
    }
  };

const fieldsAlone = ({ fieldNames }: Declaration, { fields }: Entry): Fields =>
  Object.fromEntries(fieldNames.map((name) => [name, fields[name] ?? null]));

async function* mapped<T, R>(items: AsyncIterable<T>, map: (item: T) => R): AsyncGenerator<R> {
  for await (const item of items) yield map(item);
}

function firstOfEach(query: Readonly<Record<string, string | readonly string[]>>): Record<string, string> {
  return Object.fromEntries(Object.entries(query).map(([name, value]) => [name, [value].flat()[0] ?? ""]));
}

/** `limit` and `after`, unless fields are called so. @throws AppError request_invalid. */
function pageIn(declaration: Declaration, query: Readonly<Record<string, string>>) {
  const { limit, after, ...rest } = query;
  const number = (name: string, text: string | undefined, least: number, most: number, fallback: number) => {
    if (text === undefined) return fallback;
    const value = /^\d+$/.test(text) ? Number(text) : -1;
    if (value >= least && value <= most) return value;
    throw new AppError("request_invalid", { parameter: name, expected: `${least} to ${most}`, found: text });
  };
  const own = (name: string, value: string | undefined) =>
    value !== undefined && fieldName(declaration, name) !== undefined ? { [name]: value } : undefined;
  return {
    ...rest,
    ...own("limit", limit),
    ...own("after", after),
    limit: own("limit", limit) ? PAGE : number("limit", limit, 1, MOST, PAGE),
    after: own("after", after) ? 0 : number("after", after, 0, Number.MAX_SAFE_INTEGER, 0),
  };
}

/** @throws AppError request_invalid for what is neither a field nor `id`, `status`. */
function filterOf(declaration: Declaration, given: Readonly<Record<string, DetailValue>>) {
  const fields: Record<string, DetailValue> = {};
  let own: { readonly id?: number; readonly status?: string } = {};
  for (const [name, value] of Object.entries(given)) {
    const field = fieldName(declaration, name);
    if (field !== undefined) fields[field] = typeof value === "string" ? typedValue(declaration, field, value) : value;
    else if (name === "status") own = { ...own, status: String(value) };
    else if (name === "id") own = { ...own, id: Number(value) };
    else
      throw new AppError("request_invalid", {
        expected: `id, status, ${declaration.fieldNames.join(", ")}`,
        found: name.slice(0, 100),
      });
  }
  return { ...own, fields };
}

function isObject(value: unknown): value is Body {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws AppError request_invalid: no JSON; entry_invalid: JSON, but no object. */
function objectIn(request: FastifyRequest): Body {
  const type = request.headers["content-type"] ?? "";
  let value: unknown;
  try {
    if (!/^application\/(\S+\+)?json\b/i.test(type)) throw new SyntaxError("the body is not declared as JSON");
    value = JSON.parse(String(request.body));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new AppError("request_invalid", { expected: "JSON", reason: cause.message }, { cause });
  }
  if (isObject(value)) return value;
  throw new AppError("entry_invalid", { expected: "an object with fields" });
}

/** The fields of a body by their own names; what an older API did not know, it passed over. */
function knownFields(declaration: Declaration, body: Body): Body {
  return Object.fromEntries(
    Object.entries(body).flatMap(([name, value]) => {
      const field = fieldName(declaration, name);
      return field === undefined ? [] : [[field, value]];
    }),
  );
}

function withoutId({ id: _, ...rest }: Body): Body {
  return rest;
}

/** @throws AppError request_invalid. */
function idOf(text: string): number {
  const id = /^[1-9]\d*$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(id)) return id;
  throw new AppError("request_invalid", { parameter: "id", expected: "the id of an entry", found: text.slice(0, 50) });
}

/** @throws AppError request_invalid. */
function wantedIn(body: Body, method: "PUT" | "PATCH"): WantedChange {
  const { status, from, version, reason, set, ...fields } = body;
  const sent = isObject(set) ? { ...fields, ...set } : body.set === undefined ? fields : { ...fields, set: body.set };
  const { status: to = status, ...values } = sent;
  const text = (name: string, value: DetailValue | undefined) => {
    if (value === undefined) return undefined;
    if (typeof value === "string" && value.length <= 1_000) return value;
    throw new AppError("request_invalid", { field: name, expected: "text" });
  };
  const [wantedTo, wantedFrom, why] = [text("status", to), text("from", from), text("reason", reason)];
  return {
    ...((method === "PUT" || Object.keys(values).length > 0) && { fields: values }),
    isWhole: method === "PUT",
    ...(wantedTo !== undefined && { to: wantedTo }),
    ...(wantedFrom !== undefined && { from: wantedFrom }),
    ...(why !== undefined && { reason: why }),
    ...(typeof version === "number" && { version }),
  };
}
