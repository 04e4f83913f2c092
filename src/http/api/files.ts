import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { z } from "zod";
import { maySee, type Principal } from "../../core/access/access.ts";
import type { ArchivedFile, Transaction } from "../../core/catalogue/catalogue-store.ts";
import { AppError } from "../../core/errors.ts";
import type { FileId } from "../../core/ids.ts";
import { isNotModified, requestedRange, type Validators } from "../conditional.ts";
import { digestField } from "../digest-fields.ts";
import { sendProblem } from "../problem.ts";
import type { ServerContext } from "../server-deps.ts";
import { FileParams, FileSchema, fileOnWire, NoQuery, problems } from "./schemas.ts";

export const fileRoutes =
  (context: ServerContext): FastifyPluginAsyncZod =>
  async (app) => {
    app.get(
      "/files/:id",
      {
        config: { scope: "read" },
        schema: {
          tags: ["files"],
          summary: "What is known of a file",
          params: FileParams,
          querystring: NoQuery,
          response: { 200: FileSchema, ...problems },
        },
      },
      async ({ principal, params }) => fileOnWire((await visibleFile(context, principal, params.id)).file),
    );

    const content = {
      config: { scope: "read" },
      exposeHeadRoute: false,
      schema: {
        tags: ["files"],
        summary: "The bytes of a file",
        description:
          "Answers `Range` (one range), `If-Range` and the conditions of RFC 9110. `ETag` is the archive's digest; " +
          "`Repr-Digest` and `Content-Digest` are those of RFC 9530.",
        params: FileParams,
        querystring: NoQuery,
        response: {
          200: binary("The whole file."),
          206: binary("The range asked for."),
          304: z.undefined().describe("The client's copy is still good."),
          ...problems,
        },
      },
    } as const;

    app.get("/files/:id/content", content, async (request, reply) => {
      const { file, transaction } = await visibleFile(context, request.principal, request.params.id);
      const validators = describeFile(reply, file);
      if (isNotModified(request.headers, validators)) return reply.code(304).send();
      const range = rangeOrRefuse(request, reply, file, validators);
      if (range === "refused") return reply;
      const { start, end } = range ?? { start: 0, end: file.sizeBytes - 1 };
      const sizeBytes = end - start + 1;
      const bytes = await context.storage.open(pathOf(transaction, file), range);
      reply.header("content-length", sizeBytes);
      if (range) reply.code(206).header("content-range", `bytes ${start}-${end}/${file.sizeBytes}`);
      else reply.header("content-digest", digestField(file.digests));
      return reply.send(Readable.from(exactly(bytes, sizeBytes, context.metrics.sent), { objectMode: false }));
    });

    app.head("/files/:id/content", content, async (request, reply) => {
      const { file } = await visibleFile(context, request.principal, request.params.id);
      if (isNotModified(request.headers, describeFile(reply, file))) return reply.code(304).send();
      // Range is only for GET (RFC 9110 §14.2).
      return reply.header("content-length", file.sizeBytes).send(undefined);
    });
  };

/** @throws AppError file_unknown, also for one that this caller may not see. */
async function visibleFile({ catalogue }: ServerContext, principal: Principal, id: FileId) {
  const file = await catalogue.file(id);
  const transaction = file && (await catalogue.transaction(file.transactionId));
  if (!transaction || !maySee(principal, transaction.owner)) throw new AppError("file_unknown", { id });
  return { file, transaction };
}

/** Everything about the whole file that goes into the head of 200, 206 and 304 alike. */
function describeFile(reply: FastifyReply, file: ArchivedFile): Validators {
  const etag = `"${file.digests.sha512 ?? file.digests.sha256 ?? file.declared.value}"`;
  const time = Date.parse(file.modifiedAt ?? "");
  const modifiedAt = Number.isNaN(time) ? null : time;
  reply.headers({
    etag,
    "accept-ranges": "bytes",
    "repr-digest": digestField(file.digests),
    // What depositors send is data, whatever it says it is: it must not run as a page of this server.
    "content-type": mediaTypeOr(file.mediaType, "application/octet-stream"),
    "content-disposition": attachment(file.path.slice(file.path.lastIndexOf("/") + 1)),
    "content-security-policy": "sandbox; default-src 'none'",
    "cross-origin-resource-policy": "same-origin",
    // A copy may be kept, but whether this caller may still see the file is asked every time.
    "cache-control": "private, no-cache",
    ...(modifiedAt === null ? {} : { "last-modified": new Date(modifiedAt).toUTCString() }),
  });
  return { etag, modifiedAt };
}

function rangeOrRefuse(request: FastifyRequest, reply: FastifyReply, file: ArchivedFile, validators: Validators) {
  try {
    return requestedRange(request.headers, file.sizeBytes, validators);
  } catch (error) {
    reply.header("content-range", `bytes */${file.sizeBytes}`);
    sendProblem(request, reply, error);
    return "refused";
  }
}

const pathOf = (transaction: Transaction, file: ArchivedFile) => `${transaction.objectPath}/${file.contentPath}`;

/**
 * Passes `sizeBytes` bytes on, no more and no fewer: anything else breaks the connection, so that a client never takes
 * another file for the whole. The last piece waits until it is known to be the last.
 * @throws AppError object_corrupt.
 */
async function* exactly(
  bytes: AsyncIterable<Uint8Array>,
  sizeBytes: number,
  onBytes: (count: number) => void,
): AsyncGenerator<Uint8Array> {
  let passed = 0;
  let held: Uint8Array | undefined;
  for await (const chunk of bytes) {
    passed += chunk.length;
    if (passed > sizeBytes) break;
    onBytes(chunk.length);
    if (held) yield held;
    held = chunk;
  }
  if (passed !== sizeBytes) throw new AppError("object_corrupt", { expected: sizeBytes, found: passed });
  if (held) yield held;
}

/** A media type as RFC 9110 §8.3.1 spells it, so that nothing else can get into the head. */
function mediaTypeOr(text: string, otherwise: string): string {
  const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
  return new RegExp(`^${token}/${token}(?:[ ]*;[ ]*${token}=(?:${token}|"[^"\\\\\\x00-\\x1f\\x7f-\\uffff]*"))*$`).test(
    text,
  )
    ? text
    : otherwise;
}

/** RFC 6266 with RFC 8187: the name in ASCII for old readers, and as it is for the others. */
function attachment(name: string): string {
  const ascii = name.replace(/[^\x20-\x7e]|["\\%]/g, "_");
  const encoded = encodeURIComponent(name.toWellFormed()).replace(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16)}`,
  );
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}

function binary(description: string) {
  return {
    description,
    content: {
      "application/octet-stream": { schema: z.custom<Readable>().meta({ type: "string", format: "binary" }) },
    },
  };
}
