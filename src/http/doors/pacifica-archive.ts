import { Readable } from "node:stream";
import type { FastifyPluginAsync, FastifyRequest } from "fastify";
import { isoTime } from "../../core/clock.ts";
import { AppError } from "../../core/errors.ts";
import { type FileId, fileId } from "../../core/ids.ts";
import { timeText } from "../../core/ingest/time-text.ts";
import type { AllowedMethods } from "../allowed-methods.ts";
import type { Authentication } from "../authentication.ts";
import { fileRepresentation, pathInStorage, type VisibleFile, visibleFile } from "../download/archived-file.ts";
import { sendRepresentation } from "../download/representation.ts";
import { statusOf } from "../problem.ts";
import type { ServerContext } from "../server-deps.ts";
import { noteDeposit } from "../upload/deposit.ts";
import { passBodiesThrough, requestBody } from "../upload/request-body.ts";
import { anyType, headerText, speakCherryPy } from "./cherrypy.ts";

/** Spelled so: the original's peers look for this name and no other. */
const MESSAGE_FIELD = "x-pacifica-messsage";
const BYTES = "application/octet-stream";

interface FileRoute {
  Params: { id: string };
  Querystring: { byte_range?: unknown };
}

/**
 * Pacifica Archive Interface 0.4: GET, HEAD, POST (stage), PUT, PATCH (move) and DELETE of `/{id}`, for Pacifica's ingest
 * and cart services, and for any Longshore that has this one as its remote archive. What each file of PUT becomes, and why
 * nothing is overwritten or deleted: docs/decisions/010-files-by-id.md.
 */
export const pacificaArchive =
  (context: ServerContext, authentication: Authentication, allowed: AllowedMethods): FastifyPluginAsync =>
  async (app) => {
    const { storage, numberedFiles } = context;
    const { refuse, identify, identifySender } = speakCherryPy(app, {
      context,
      authentication,
      allowed,
      status: statusForPeers,
      describe: (reply, message) => void reply.header(MESSAGE_FIELD, headerText(message)),
    });

    const found = ({ principal, params }: FastifyRequest<FileRoute>) =>
      visibleFile(context, principal, requestedId(params.id, "file_unknown"));

    app.get("/", async () => ({ message: "Pacifica Archive Interface Up and Running" }));

    const download = {
      onRequest: identify("read"),
      exposeHeadRoute: false,
      config: { uncounted: "continued downloads" },
    } as const;
    app.get<FileRoute>("/:id", download, async (request, reply) => {
      const file = await found(request);
      const representation = { ...fileRepresentation(storage, file), mediaType: BYTES };
      const meter = context.metrics.download("file");
      async function begins(): Promise<void> {
        meter.begun();
        await context.carts.countedFile(file.file.id, file.transaction.id);
      }
      const { byte_range: part } = request.query;
      if (part === undefined) return sendRepresentation(request, reply, representation, { meter, begins });

      const { start, sizeBytes } = requestedPart(part, representation.sizeBytes);
      if (start === 0) await begins();
      const bytes = sizeBytes === 0 ? [] : representation.read({ start, end: start + sizeBytes - 1 }, context.closing);
      meter.sent(sizeBytes);
      return reply
        .headers({ "content-type": BYTES, "content-length": sizeBytes, etag: representation.etag })
        .send(Readable.from(bytes, { objectMode: false }));
    });

    app.head<FileRoute>("/:id", { onRequest: identify("read") }, async (request, reply) => {
      const file = await found(request);
      await requireWhole(context, file);
      reply.headers(describeFile(file, await mediaOf(context, file)));
      return reply.code(204).send();
    });

    app.delete<FileRoute>("/:id", { onRequest: identify("deposit") }, async (request, reply) => {
      await found(request);
      return refuse(reply, 403, "The archive keeps what it has taken in.");
    });

    await app.register(async (bodies) => {
      passBodiesThrough(bodies);

      bodies.post<FileRoute>("/:id", { onRequest: [identify("read"), anyType] }, async (request) => {
        const file = await found(request);
        await storage.restore?.request(pathInStorage(file));
        return { message: "File was staged", file: request.params.id };
      });

      bodies.put<FileRoute>("/:id", { onRequest: [identifySender("deposit"), anyType] }, async (request, reply) => {
        const id = requestedId(request.params.id, "request_invalid");
        const { principal, headers } = request;
        const length = headers["content-length"];
        const { sizeBytes } = await context.finish(
          numberedFiles.put(id, requestBody(request, context.metrics.received), {
            principal,
            modifiedAt: modifiedAt(headers["last-modified"], context.clock.now()),
            signal: context.closing,
            ...(length === undefined ? {} : { sizeBytes: Number(length) }),
          }),
        );
        await noteDeposit(context, request, "file.put", principal.name, `file/${id}`);
        return reply.code(201).send({ message: "File added to archive", total_bytes: sizeBytes });
      });
    });

    await app.register(async (documents) => {
      documents.addContentTypeParser<Buffer>("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

      documents.patch<FileRoute>(
        "/:id",
        { onRequest: [identifySender("deposit"), anyType] },
        async (request, reply) => {
          const id = requestedId(request.params.id, "request_invalid");
          const { principal } = request;
          const path = pathIn(request.body);
          if (path === undefined) return refuse(reply, 400, "Expected a JSON object with a path.");
          await context.finish(numberedFiles.move(id, path, { principal, signal: context.closing }));
          await noteDeposit(context, request, "file.move", principal.name, `file/${id}`);
          return { message: "File Moved Successfully" };
        },
      );
    });
  };

/**
 * What the original's peers do with a status: their cart service takes any answer to POST but 500 for success, and then
 * waits for ever on a HEAD without the fields it looks for; the body of a GET below 500 it takes for the file. So what
 * cannot be read is 500, as the original has it, and the body says in words what is wrong.
 */
function statusForPeers(error: AppError, request: FastifyRequest): number {
  const isReading = ["GET", "HEAD", "POST", "DELETE"].includes(request.method);
  const isOurs = ["corrupt", "unavailable", "internal"].includes(error.kind) || MISSING.includes(error.code);
  return isReading && isOurs ? 500 : statusOf(error);
}

const MISSING = ["file_unknown", "object_missing"];

/** @throws AppError of this code for what is no id of a file. */
function requestedId(text: string, code: "file_unknown" | "request_invalid"): FileId {
  const id = /^[1-9]\d*$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(id)) return fileId(id);
  throw new AppError(code, { expected: "a positive integer", found: text.slice(0, 100) });
}

/** `byte_range=START-END`, END not included. @throws AppError range_not_satisfiable. */
function requestedPart(text: unknown, sizeBytes: number): { readonly start: number; readonly sizeBytes: number } {
  const [, first, last] = /^(\d+)-(\d+)$/.exec(String(text)) ?? [];
  const start = Number(first);
  const end = Math.min(Number(last), sizeBytes);
  if (start <= end) return { start, sizeBytes: end - start };
  throw new AppError("range_not_satisfiable", { range: String(text), sizeBytes });
}

/** @throws AppError object_missing, object_corrupt: peers look here until the file can be read, and then never again. */
async function requireWhole({ storage }: ServerContext, found: VisibleFile): Promise<void> {
  const path = pathInStorage(found);
  const stored = await storage.stat(path);
  if (!stored) throw new AppError("object_missing", { path });
  if (stored.sizeBytes !== found.file.sizeBytes)
    throw new AppError("object_corrupt", { path, expected: found.file.sizeBytes, found: stored.sizeBytes });
}

async function mediaOf({ storage }: ServerContext, found: VisibleFile): Promise<"disk" | "tape"> {
  const state = await storage.restore?.state(pathInStorage(found));
  return state === undefined || state.online ? "disk" : "tape";
}

function describeFile(found: VisibleFile, media: "disk" | "tape"): Readonly<Record<string, string>> {
  const { file, transaction } = found;
  return {
    [MESSAGE_FIELD]: "File was found",
    "x-pacifica-message": "File was found",
    // In the archive: where that lies on the server is nobody's business.
    "x-pacifica-file": encodeURI(pathInStorage(found)),
    "x-content-length": String(file.sizeBytes),
    "last-modified": epochText(file.modifiedAt, transaction.createdAt),
    "x-pacifica-ctime": epochText(file.changedAt, transaction.createdAt),
    // How many of its bytes are on each level of a storage that has some: Python's notation of a tuple of one.
    "x-pacifica-bytes-per-level": `(${file.sizeBytes},)`,
    "x-pacifica-file-storage-media": media,
  };
}

/** Seconds since 1970 as Python writes a float: peers parse nothing else, least of all an HTTP date. */
function epochText(time: string | null, otherwiseMs: number): string {
  const parsed = Date.parse(time ?? "");
  const seconds = (Number.isNaN(parsed) ? otherwiseMs : parsed) / 1000;
  return Number.isInteger(seconds) ? `${seconds}.0` : String(seconds);
}

/**
 * When a file was changed, as senders say it in `Last-Modified`: `ctime(3)` (Pacifica's ingest; taken for UTC, as it names
 * no zone), an HTTP date, or seconds since 1970. Anything else counts as unsaid.
 */
function modifiedAt(field: string | undefined, now: number): string {
  if (field === undefined) return isoTime(now);
  const epochMs = /^\d+(\.\d+)?$/.test(field) ? Math.round(Number(field) * 1000) : Date.parse(isoOf(field));
  return Number.isNaN(new Date(epochMs).getTime()) ? isoTime(now) : isoTime(epochMs);
}

/** `""` for a text that is beyond doubt no time: `Date` would see one in almost everything. */
function isoOf(text: string): string {
  const read = timeText(text);
  return /^[\d+-]+T[\d:.]+Z$/.test(read) ? read : "";
}

function pathIn(body: unknown): string | undefined {
  if (!(body instanceof Uint8Array)) return undefined;
  try {
    const { path } = JSON.parse(Buffer.from(body).toString("utf8")) ?? {};
    return typeof path === "string" && !path.includes("\0") ? path : undefined;
  } catch {
    return undefined; // not JSON at all is no object with a path either
  }
}
