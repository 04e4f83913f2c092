import type { FastifyPluginAsyncZod } from "fastify-type-provider-zod";
import { maySee, type Principal } from "../../core/access/access.ts";
import type { ObjectStorage } from "../../core/archive/object-storage.ts";
import type { ArchivedFile, Transaction } from "../../core/catalogue/catalogue-store.ts";
import { AppError } from "../../core/errors.ts";
import type { FileId } from "../../core/ids.ts";
import { REPRESENTATION_ANSWERS, type Representation, sendRepresentation } from "../representation.ts";
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

    app.route({
      method: ["GET", "HEAD"],
      url: "/files/:id/content",
      config: { scope: "read" },
      schema: {
        tags: ["files"],
        summary: "The bytes of a file",
        description:
          "Answers `Range` (one or several), `If-Range` and the conditions of RFC 9110. `ETag` is the archive's digest; " +
          "`Repr-Digest` and `Content-Digest` are those of RFC 9530.",
        params: FileParams,
        querystring: NoQuery,
        response: { ...REPRESENTATION_ANSWERS, ...problems },
      },
      async handler(request, reply) {
        const { file, transaction } = await visibleFile(context, request.principal, request.params.id);
        return sendRepresentation(request, reply, representation(context.storage, transaction, file), {
          sent: context.metrics.sent,
          begins: async () => {},
        });
      },
    });
  };

/** @throws AppError file_unknown, also for one that this caller may not see. */
async function visibleFile({ catalogue }: ServerContext, principal: Principal, id: FileId) {
  const file = await catalogue.file(id);
  const transaction = file && (await catalogue.transaction(file.transactionId));
  if (!transaction || !maySee(principal, transaction.owner)) throw new AppError("file_unknown", { id });
  return { file, transaction };
}

function representation(storage: ObjectStorage, transaction: Transaction, file: ArchivedFile): Representation {
  const time = Date.parse(file.modifiedAt ?? "");
  return {
    sizeBytes: file.sizeBytes,
    etag: `"${file.digests.sha512 ?? file.digests.sha256 ?? file.declared.value}"`,
    modifiedAt: Number.isNaN(time) ? null : time,
    mediaType: mediaTypeOr(file.mediaType, "application/octet-stream"),
    fileName: file.path.slice(file.path.lastIndexOf("/") + 1),
    digests: file.digests,
    async *read(range) {
      const bytes = await storage.open(`${transaction.objectPath}/${file.contentPath}`, range);
      yield* exactly(bytes, range ? range.end - range.start + 1 : file.sizeBytes);
    },
  };
}

/**
 * Passes `sizeBytes` bytes on, no more and no fewer: anything else breaks the connection, so that a client never takes
 * another file for the whole. The last piece waits until it is known to be the last.
 * @throws AppError object_corrupt.
 */
async function* exactly(bytes: AsyncIterable<Uint8Array>, sizeBytes: number): AsyncGenerator<Uint8Array> {
  let passed = 0;
  let held: Uint8Array | undefined;
  for await (const chunk of bytes) {
    passed += chunk.length;
    if (passed > sizeBytes) break;
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
