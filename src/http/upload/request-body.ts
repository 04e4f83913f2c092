import { Readable } from "node:stream";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { AppError } from "../../core/errors.ts";

/**
 * Lets a plugin's routes take bodies of any type and size unread: Fastify's own limit does not apply to them. Whether
 * the type is one the route wants is the route's business.
 */
export function passBodiesThrough(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => done(null));
}

/**
 * The body as it arrives. It breaks with upload_interrupted when the sender stops before the end it announced; destroying
 * it leaves the connection open, for the answer.
 * @param onBytes told of every piece as it passes.
 */
export function requestBody(request: FastifyRequest, onBytes: (count: number) => void): Readable {
  const incoming = request.raw;
  async function* bytes(): AsyncGenerator<Uint8Array> {
    let received = 0;
    try {
      for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
        received += chunk.length;
        onBytes(chunk.length);
        yield chunk;
      }
    } catch (cause) {
      throw new AppError("upload_interrupted", { receivedBytes: received }, { cause });
    }
    // From here on the sender waits for us, however long it takes: its silence is not a dead connection.
    incoming.socket.setTimeout(0);
  }
  return Readable.from(bytes(), { objectMode: false });
}

/** How much of a body that is not wanted is still read, in time, so that the sender gets to see the answer. */
const LINGER_MS = 5_000;

/**
 * Ends what is left of an exchange whose answer came before its body did, such as a refused upload. To close at once
 * would make the sender's next write fail before it has read the answer (RFC 9112 §9.6); to read on without limit would
 * let it send for ever.
 */
export function endUnreadBody(request: FastifyRequest): void {
  const { raw } = request;
  if (raw.complete || raw.destroyed) return;
  const timer = setTimeout(() => raw.destroy(), LINGER_MS);
  timer.unref();
  raw.once("close", () => clearTimeout(timer));
  raw.resume();
}
