import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { Digests } from "../../core/digest.ts";
import { AppError } from "../../core/errors.ts";
import type { DownloadMeter } from "../metrics.ts";
import { attachment } from "./attachment.ts";
import { requestedRanges, type SatisfiableRange } from "./byte-ranges.ts";
import { isNotModified, type Validators } from "./conditional.ts";
import { digestField } from "./digest-fields.ts";
import { sendBody } from "./response-body.ts";

/** Bytes of known length and identity, to be downloaded. A cart's `Download` is one. */
export interface Representation extends Validators {
  readonly sizeBytes: number;
  /** A media type in form; what it says is not believed by browsers that we serve. */
  readonly mediaType: string;
  readonly fileName: string;
  /** Of the whole. Left out where nobody has ever read the whole, as of an archive that is never built. */
  readonly digests?: Digests;
  /** Of what may be shown in a page, those that are otherwise than a download's. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Exactly the bytes of the range, of the whole without one; or the iteration throws. */
  read(range: SatisfiableRange | undefined, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface SendOptions {
  readonly meter: Pick<DownloadMeter, "sent" | "broken">;
  /** Called before a body that holds the first byte: others belong to a download that is under way. */
  readonly begins: () => Promise<void>;
}

/**
 * Answers a GET or HEAD with a representation, or the part or parts of it that are asked for: 200, 206, 304.
 *
 * What goes wrong before the first byte is thrown, as the problem that the client sees; later, the connection breaks. Bytes
 * are read at the pace of the client, and no more when it leaves.
 * @throws AppError precondition_failed, range_not_satisfiable: nothing of the representation is in the head then. What
 * `read` throws before its first byte.
 */
export async function sendRepresentation(
  request: FastifyRequest,
  reply: FastifyReply,
  representation: Representation,
  { meter, begins }: SendOptions,
): Promise<FastifyReply> {
  const { sizeBytes } = representation;
  if (isNotModified(request.headers, representation)) return reply.code(304).headers(describe(representation)).send();
  // Range is only for GET (RFC 9110 §14.2).
  if (request.method === "HEAD")
    return reply.headers({ ...describe(representation), "content-length": sizeBytes }).send();

  const ranges = requestedRanges(request.headers, sizeBytes, representation);
  if (ranges === "unsatisfiable") {
    reply.header("content-range", `bytes */${sizeBytes}`);
    throw new AppError("range_not_satisfiable", { range: request.headers.range ?? "", sizeBytes });
  }
  if (ranges === undefined || ranges.some(({ start }) => start === 0)) await begins();

  const gone = new AbortController();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) meter.broken();
    gone.abort();
  });
  const { headers, body } = message(representation, ranges, gone.signal);
  reply.code(ranges ? 206 : 200).headers({ ...describe(representation), ...headers });
  return sendBody(request, reply, counted(body, meter.sent), gone.signal);
}

/** What the head of 200, 206 and 304 says of the whole alike. */
function describe({ etag, modifiedAt, mediaType, fileName, digests, headers }: Representation): Record<string, string> {
  return {
    etag,
    ...(modifiedAt === null ? {} : { "last-modified": new Date(modifiedAt).toUTCString() }),
    "accept-ranges": "bytes",
    ...(digests ? { "repr-digest": digestField(digests) } : {}),
    // What depositors send is data, whatever it says it is: it must not run as a page of this server.
    "content-type": mediaType,
    "content-disposition": attachment(fileName),
    "content-security-policy": "sandbox; default-src 'none'",
    "cross-origin-resource-policy": "same-origin",
    // A copy may be kept, but whether this caller may still see it is asked every time.
    "cache-control": "private, no-cache",
    ...headers,
  };
}

interface Message {
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: AsyncIterable<Uint8Array>;
}

function message(
  { sizeBytes, mediaType, digests, read }: Representation,
  ranges: readonly SatisfiableRange[] | undefined,
  signal: AbortSignal,
): Message {
  const [range, another] = ranges ?? [];
  if (!ranges || !range)
    return {
      headers: { "content-length": sizeBytes, ...(digests ? { "content-digest": digestField(digests) } : {}) },
      body: read(undefined, signal),
    };
  if (!another)
    return {
      headers: { "content-length": lengthOf(range), "content-range": contentRange(range, sizeBytes) },
      body: read(range, signal),
    };
  return multipart(
    ranges.map((one) => ({
      head: `Content-Type: ${mediaType}\r\nContent-Range: ${contentRange(one, sizeBytes)}\r\n\r\n`,
      sizeBytes: lengthOf(one),
      read: () => read(one, signal),
    })),
  );
}

interface Part {
  /** Its header fields, with the empty line behind them. */
  readonly head: string;
  readonly sizeBytes: number;
  read(): AsyncIterable<Uint8Array>;
}

/** `multipart/byteranges` (RFC 9110 §14.6, RFC 2046 §5.1.1), its length known before its first byte. */
function multipart(parts: readonly Part[]): Message {
  // 122 random bits: that they occur in the data is not to be feared.
  const boundary = randomUUID();
  const framed = parts.map((part, at) => ({
    ...part,
    head: Buffer.from(`${at === 0 ? "" : "\r\n"}--${boundary}\r\n${part.head}`),
  }));
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);

  async function* body(): AsyncGenerator<Uint8Array> {
    for (const { head, read } of framed) {
      let isFirst = true;
      for await (const bytes of read()) {
        // Not before there are bytes: the first of them may be a failure that can still be told.
        if (isFirst) yield head;
        isFirst = false;
        yield bytes;
      }
    }
    yield tail;
  }

  return {
    headers: {
      "content-type": `multipart/byteranges; boundary=${boundary}`,
      "content-length": framed.reduce((sum, { head, sizeBytes }) => sum + head.length + sizeBytes, tail.length),
    },
    body: body(),
  };
}

async function* counted(body: AsyncIterable<Uint8Array>, sent: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const bytes of body) {
    sent(bytes.length);
    yield bytes;
  }
}

const lengthOf = ({ start, end }: SatisfiableRange) => end - start + 1;
const contentRange = ({ start, end }: SatisfiableRange, sizeBytes: number) => `bytes ${start}-${end}/${sizeBytes}`;

/** The answers of {@link sendRepresentation}, for the API's description. */
export const REPRESENTATION_ANSWERS = {
  200: binary("application/octet-stream", "The whole."),
  206: {
    description: "The range asked for; several of them as `multipart/byteranges`.",
    content: { ...binaryContent("application/octet-stream"), ...binaryContent("multipart/byteranges") },
  },
  304: z.undefined().describe("The client's copy is still good."),
};

/** A body that goes out as it is. */
export function binary(mediaType: string, description: string) {
  return { description, content: binaryContent(mediaType) };
}

function binaryContent(mediaType: string) {
  return { [mediaType]: { schema: z.custom<Readable>().meta({ type: "string", format: "binary" }) } };
}
