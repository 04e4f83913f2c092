import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Fetch, FetchAnswer, FetchRequest } from "./fetch.ts";

/** Without a byte between them. */
const TRIES = 5;
const FIRST_PAUSE_MS = 1_000;

/**
 * The body of an answer, to its last byte. Where it breaks off, the rest is asked for (RFC 9110 §14.2), provided that the
 * origin calls what it sends by a strong entity tag: then it cannot be the rest of something else (§13.1.5).
 * @param request what `first` answers. It has to ask for the coding `identity`: a part of another would be of other bytes.
 * @throws AppError remote_unavailable when it breaks off for good, or is another file by then; what the body throws.
 */
export async function* continued(
  fetch: Fetch,
  request: FetchRequest,
  first: FetchAnswer,
  clock: Clock,
): AsyncGenerator<Uint8Array> {
  const total = declaredBytes(first);
  let answer = first;
  let passed = 0;
  for (let tries = 1; ; tries++) {
    try {
      for await (const bytes of answer.body as AsyncIterable<Uint8Array>) {
        passed += bytes.length;
        tries = 1;
        yield bytes;
      }
      if (total === undefined || passed === total) return;
      throw new AppError("remote_unavailable", { origin: originOf(first), expected: total, found: passed });
    } catch (error) {
      request.signal.throwIfAborted();
      if (!(error instanceof AppError && error.code === "remote_unavailable") || tries === TRIES) throw error;
      const tag = strongTag(first);
      if (tag === undefined) throw error;
      await clock.sleep(FIRST_PAUSE_MS * 2 ** (tries - 1), request.signal);
      request.signal.throwIfAborted();
      answer = await rest(fetch, request, tag, passed, total);
    }
  }
}

/** RFC 9110 §8.6; of a body that comes in a coding, it is not what we count. */
export function declaredBytes({ headers }: FetchAnswer): number | undefined {
  const length = headers["content-length"];
  return length === undefined || headers["content-encoding"] !== undefined ? undefined : Number(length);
}

async function rest(
  fetch: Fetch,
  request: FetchRequest,
  tag: string,
  from: number,
  total: number | undefined,
): Promise<FetchAnswer> {
  const answer = await fetch({
    ...request,
    headers: { ...request.headers, range: `bytes=${from}-`, "if-range": tag },
    limits: { ...request.limits, bodyBytes: request.limits.bodyBytes - from },
  });
  const [, start, whole] = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers["content-range"] ?? "") ?? [];
  const isRest = Number(start) === from && (total === undefined || Number(whole) === total);
  if (answer.status === 206 && isRest && strongTag(answer) === tag) return answer;
  answer.body.destroy();
  const found = answer.status === 206 ? "another part" : `status ${answer.status}`;
  throw new AppError("remote_unavailable", { origin: originOf(answer), expected: `bytes from ${from} on`, found });
}

/** RFC 9110 §8.8.3. A file that comes in a coding has none that would do. */
function strongTag({ headers }: FetchAnswer): string | undefined {
  return headers["content-encoding"] === undefined && headers.etag?.startsWith('"') ? headers.etag : undefined;
}

const originOf = ({ url }: FetchAnswer) => new URL(url).origin;
