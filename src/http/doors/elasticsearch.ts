import { Readable } from "node:stream";
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import { requireScope } from "../../core/access/access.ts";
import type { DocumentIndex, DocumentOutcome, DocumentWrite, Exactness } from "../../core/documents/document.ts";
import { readMapping } from "../../core/documents/mapping.ts";
import { AppError } from "../../core/errors.ts";
import type { AllowedMethods } from "../allowed-methods.ts";
import type { Authentication } from "../authentication.ts";
import { asAppError } from "../problem.ts";
import type { ServerContext } from "../server-deps.ts";
import { passBodiesThrough } from "../upload/request-body.ts";
import { BULK_LIMIT_BYTES, sentObject, sentSource, sentText } from "./elasticsearch-body.ts";
import { bearerOf } from "./elasticsearch-credentials.ts";
import { elasticStatus, errorDocument, refusal } from "./elasticsearch-error.ts";
import { parseQuery } from "./elasticsearch-query.ts";
import { type Parameters, parseSearch, searchAnswer, selectionOf, sourceMember } from "./elasticsearch-search.ts";
import { type BulkItem, guardOf, parseBulk, parseUpdate, writeAnswer } from "./elasticsearch-write.ts";

/** Clients look at it; those from 7.14 on only want to see a server that is one of theirs. */
const SPOKEN_VERSION = "8.19.0";
const COMPATIBLE = /application\/vnd\.elasticsearch\+json *; *compatible-with *= *(\d+)/i;
const COMPATIBLE_WITH = ["7", "8", "9"];
const STRICT_FIELD = "x-longshore-strict";

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

/**
 * The part of Elasticsearch's REST API that scripts for requests use, over indices that they make, the archive's files
 * and the registers, for clients of 7.x, 8.x and 9.x.
 */
export const elasticsearch =
  (context: ServerContext, authentication: Authentication, allowed: AllowedMethods): FastifyPluginAsync =>
  async (app) => {
    const { documents, audit } = context;

    passBodiesThrough(app);

    app.addHook("onRequest", async (request, reply) => {
      // Without it, clients take the server for somebody else's.
      reply.header("x-elastic-product", "Elasticsearch");
      reply.type(answerType(request));
      request.principal = await authentication.identify(request, bearerOf(request.headers.authorization));
    });
    app.addHook("onSend", async (request, reply) => {
      // As the client has written it: Fastify would put quotes and a charset to it.
      if (String(reply.getHeader("content-type")).includes("vnd.elasticsearch")) reply.type(answerType(request));
    });
    app.setErrorHandler((thrown, request, reply) => fail(request, reply, thrown));
    app.setNotFoundHandler(async (request, reply) => {
      const path = request.url.split("?")[0] ?? "";
      const methods = allowed.of(path);
      reply.header("x-elastic-product", "Elasticsearch").type("application/json");
      if (methods.length === 0) {
        const error = `no handler found for uri [${path}] and method [${request.method}]`;
        return reply.code(400).send(JSON.stringify({ error, status: 400 }));
      }
      const error = `Incorrect HTTP method for uri [${path}] and method [${request.method}], allowed: [${methods.join(", ")}]`;
      return reply
        .code(405)
        .header("allow", methods.join(", "))
        .send(JSON.stringify({ error, status: 405 }));
    });

    const exactness = ({ headers }: FastifyRequest): Exactness => {
      const asked = headers[STRICT_FIELD];
      return { strict: asked === undefined ? context.options.elasticsearchStrict : asked === "true" };
    };
    const parameters = (request: FastifyRequest) => request.query as Parameters;
    const named = (request: FastifyRequest) => {
      const { index } = request.params as { readonly index?: string };
      return index === undefined ? [] : index.split(",");
    };
    const one = (request: FastifyRequest) => {
      const { index = "", id = "" } = request.params as { readonly index?: string; readonly id?: string };
      return { index, id };
    };

    /** What tells of documents and indices; what changes them asks for its scope where the change is judged. */
    const reads =
      (handler: Handler): Handler =>
      (request, reply) => {
        requireScope(request.principal, "read");
        return handler(request, reply);
      };

    app.get("/", async () => ({
      name: "longshore",
      cluster_name: "longshore",
      cluster_uuid: "longshore",
      version: {
        number: SPOKEN_VERSION,
        build_flavor: "default",
        build_type: "tar",
        build_hash: `longshore-${context.version}`,
        build_date: "1970-01-01T00:00:00.000Z",
        build_snapshot: false,
        lucene_version: "9.12.0",
        minimum_wire_compatibility_version: "7.17.0",
        minimum_index_compatibility_version: "7.0.0",
      },
      tagline: "You Know, for Search",
    }));
    app.get("/_cluster/health", async () => ({
      cluster_name: "longshore",
      status: "green",
      timed_out: false,
      number_of_nodes: 1,
      number_of_data_nodes: 1,
      active_primary_shards: 1,
      active_shards: 1,
      relocating_shards: 0,
      initializing_shards: 0,
      unassigned_shards: 0,
    }));

    // ── Indices

    app.put("/:index", async (request) => {
      const { index } = one(request);
      const { mappings } = await sentObject(request);
      await documents.createIndex(request.principal, index, readMapping(mappings));
      await audit.record(request.principal.name, "index.create", `index/${index}`);
      return { acknowledged: true, shards_acknowledged: true, index };
    });
    app.delete("/:index", async (request) => {
      for (const index of named(request)) {
        await documents.removeIndex(request.principal, index);
        await audit.record(request.principal.name, "index.remove", `index/${index}`);
      }
      return { acknowledged: true };
    });
    const byName = (indices: readonly DocumentIndex[], tell: (index: DocumentIndex) => object) =>
      Object.fromEntries(indices.map((index) => [index.name, tell(index)]));
    app.get(
      "/:index",
      reads(async (request) =>
        byName(await documents.indices(named(request)), ({ name, mapping, createdAt }) => ({
          aliases: {},
          mappings: mapping,
          settings: {
            index: {
              creation_date: String(createdAt ?? 0),
              number_of_shards: "1",
              number_of_replicas: "0",
              provided_name: name,
            },
          },
        })),
      ),
    );
    for (const url of ["/_mapping", "/:index/_mapping"])
      app.get(
        url,
        reads(async (request) =>
          byName(await documents.indices(named(request)), ({ mapping }) => ({ mappings: mapping })),
        ),
      );
    app.route({
      method: ["PUT", "POST"],
      url: "/:index/_mapping",
      async handler(request) {
        const { index } = one(request);
        await documents.extendIndex(request.principal, index, readMapping(await sentObject(request)));
        await audit.record(request.principal.name, "index.extend", `index/${index}`);
        return { acknowledged: true };
      },
    });
    for (const action of ["_refresh", "_flush"])
      for (const url of [`/${action}`, `/:index/${action}`])
        app.route({
          method: ["GET", "POST"],
          url,
          // What is written is found at once.
          handler: reads(async (request) => {
            await documents.indices(named(request));
            return { _shards: { total: 1, successful: 1, failed: 0 } };
          }),
        });
    for (const url of ["/_cat/indices", "/_cat/indices/:index"])
      app.get(
        url,
        reads(async (request, reply) => {
          const rows = [];
          for (const index of await documents.indices(named(request)))
            rows.push({
              health: "green",
              status: "open",
              index: index.name,
              uuid: index.name,
              pri: "1",
              rep: "0",
              "docs.count": String(await index.count(request.principal)),
              "docs.deleted": "0",
            });
          const { format, v } = parameters(request);
          if (format === "json" || (format === undefined && acceptsJsonAlone(request))) return rows;
          const head = Object.keys(rows[0] ?? {}).join(" ");
          const lines = rows.map((row) => Object.values(row).join(" "));
          return reply
            .type("text/plain; charset=UTF-8")
            .send([...(v === undefined || v === "false" ? [] : [head]), ...lines].map((line) => `${line}\n`).join(""));
        }),
      );

    // ── One document

    async function write(request: FastifyRequest, reply: FastifyReply, change: DocumentWrite) {
      const { index } = one(request);
      const [outcome] = await documents.write(request.principal, index, [change], exactness(request));
      if (!outcome || "error" in outcome) throw outcome?.error ?? new AppError("internal", { index });
      if (isChange(outcome))
        await audit.record(request.principal.name, `document.${change.op}`, `index/${index}/${outcome.id}`);
      const { status, body } = writeAnswer(index, outcome);
      return reply.code(status).send(body);
    }
    const guard = (request: FastifyRequest) => guardOf(parameters(request));

    app.post("/:index/_doc", async (request, reply) =>
      write(request, reply, { op: opOf(request), source: await sentSource(request) }),
    );
    app.route({
      method: ["PUT", "POST"],
      url: "/:index/_doc/:id",
      handler: async (request, reply) => {
        const { id } = one(request);
        return write(request, reply, { op: opOf(request), id, source: await sentSource(request), ...guard(request) });
      },
    });
    app.route({
      method: ["PUT", "POST"],
      url: "/:index/_create/:id",
      handler: async (request, reply) =>
        write(request, reply, { op: "create", id: one(request).id, source: await sentSource(request) }),
    });
    app.delete("/:index/_doc/:id", (request, reply) =>
      write(request, reply, { op: "delete", id: one(request).id, ...guard(request) }),
    );
    app.post("/:index/_update/:id", async (request, reply) => {
      const { strict } = exactness(request);
      const parts = parseUpdate(await sentText(request), strict);
      return write(request, reply, { op: "update", id: one(request).id, ...parts, ...guard(request) });
    });
    app.get(
      "/:index/_doc/:id",
      reads(async (request, reply) => {
        const { index, id } = one(request);
        const found = await documents.get(request.principal, index, id);
        if (!found) return reply.code(404).send({ _index: index, _id: id, found: false });
        const head = {
          _index: index,
          _id: id,
          _version: found.version,
          _seq_no: found.seqNo,
          _primary_term: 1,
          found: true,
        };
        const source = sourceMember(found, selectionOf(undefined, parameters(request)));
        return reply.send(`${JSON.stringify(head).slice(0, -1)}${source}}`);
      }),
    );
    app.get(
      "/:index/_source/:id",
      reads(async (request, reply) => {
        const { index, id } = one(request);
        const found = await documents.get(request.principal, index, id);
        if (!found)
          throw new AppError("document_unknown", {
            type: "resource_not_found_exception",
            reason: `Document not found [${index}]/[${id}]`,
          });
        return reply.send(found.source);
      }),
    );

    // ── Many documents

    for (const url of ["/_search", "/:index/_search"])
      app.route({
        method: ["GET", "POST"],
        url,
        handler: reads(async (request, reply) => {
          const begunAt = performance.now();
          const asked = parseSearch(await sentObject(request), parameters(request));
          const found = await documents.search(request.principal, named(request), asked.search, exactness(request));
          return reply.send(Readable.from(searchAnswer(found, asked, performance.now() - begunAt)));
        }),
      });
    for (const url of ["/_count", "/:index/_count"])
      app.route({
        method: ["GET", "POST"],
        url,
        handler: reads(async (request) => {
          const { query, ...others } = await sentObject(request);
          const [other] = Object.keys(others);
          if (other !== undefined || parameters(request).q !== undefined)
            throw refusal("parsing_exception", `request does not support [${other ?? "q"}]`);
          const count = await documents.count(request.principal, named(request), parseQuery(query), exactness(request));
          return { count, _shards: { total: 1, successful: 1, skipped: 0, failed: 0 } };
        }),
      });
    for (const url of ["/_bulk", "/:index/_bulk"])
      app.route({
        method: ["PUT", "POST"],
        url,
        async handler(request) {
          const begunAt = performance.now();
          const { strict } = exactness(request);
          const items = parseBulk(await sentText(request, BULK_LIMIT_BYTES), named(request)[0], strict);
          const answers = [];
          for (const [index, run] of runsOf(items))
            for (const [at, outcome] of (await writeAll(request, index, run)).entries()) {
              const { status, body } = writeAnswer(index, outcome);
              answers.push({ [run[at]?.op ?? "index"]: { ...body, status } });
            }
          const errors = answers.some((answer) => Object.values(answer).some((item) => "error" in item));
          return { took: Math.round(performance.now() - begunAt), errors, items: answers };
        },
      });

    /** What keeps all of them from being written is told beside each. */
    async function writeAll(
      request: FastifyRequest,
      index: string,
      items: readonly BulkItem[],
    ): Promise<readonly DocumentOutcome[]> {
      const writes = items.map(({ write }) => write);
      try {
        const outcomes = await documents.write(request.principal, index, writes, exactness(request));
        const changed = outcomes.filter(isChange).length;
        if (changed > 0)
          await audit.record(request.principal.name, "document.bulk", `index/${index}`, { documents: changed });
        return outcomes;
      } catch (thrown) {
        const error = asAppError(thrown);
        if (elasticStatus(error) >= 500) throw thrown;
        return writes.map(({ id = "" }) => ({ id, error }));
      }
    }
  };

function isChange(outcome: DocumentOutcome): boolean {
  return "result" in outcome && outcome.result !== "noop" && outcome.result !== "not_found";
}

/** The items in their order, those for the same index that follow each other together. */
function runsOf(items: readonly BulkItem[]): readonly (readonly [index: string, items: readonly BulkItem[]])[] {
  const runs: [string, BulkItem[]][] = [];
  for (const item of items) {
    const last = runs.at(-1);
    if (last?.[0] === item.index) last[1].push(item);
    else runs.push([item.index, [item]]);
  }
  return runs;
}

function opOf(request: FastifyRequest): "index" | "create" {
  const { op_type: op = "index" } = request.query as Parameters;
  if (op === "index" || op === "create") return op;
  throw refusal("illegal_argument_exception", `opType must be 'create' or 'index', found: [${op}]`);
}

/** What the client says it understands. @throws AppError media_type_unsupported for generations that we do not speak. */
function answerType({ headers }: FastifyRequest): string {
  const [, generation] = COMPATIBLE.exec(headers.accept ?? "") ?? [];
  if (generation === undefined) return "application/json";
  if (!COMPATIBLE_WITH.includes(generation))
    throw new AppError("media_type_unsupported", {
      reason: `Accept version must be one of ${COMPATIBLE_WITH.join(", ")}, found ${generation}`,
    });
  return `application/vnd.elasticsearch+json;compatible-with=${generation}`;
}

function acceptsJsonAlone({ headers: { accept = "" } }: FastifyRequest): boolean {
  return accept.includes("json") && !accept.includes("text/plain");
}

function fail(request: FastifyRequest, reply: FastifyReply, thrown: unknown) {
  const error = asAppError(thrown);
  const status = elasticStatus(error);
  if (status >= 500) request.log.error({ err: thrown, code: error.code }, error.message);
  if (status === 401) reply.header("www-authenticate", 'Basic realm="longshore", ApiKey, Bearer realm="longshore"');
  // Its rest is still on its way: the connection is of no more use.
  if (error.code === "body_too_large") reply.header("connection", "close");
  const type = reply.getHeader("content-type") ?? "application/json";
  return reply
    .code(status)
    .header("x-elastic-product", "Elasticsearch")
    .header("content-type", String(type).includes("json") ? type : "application/json")
    .send(JSON.stringify(errorDocument(error)));
}
