import { bodyOf, type Connection } from "./connection.ts";
import { silenceGuard } from "./silence.ts";

/** Bytes come without a pause; a connection silent for this long is dead. */
const SILENCE_MS = 60_000;

export interface ContentOptions {
  /** First byte wanted, 0-based. */
  readonly from?: number;
  /** Last byte wanted, inclusive. */
  readonly to?: number;
  /** With `from` or `to`: the whole is sent instead when its ETag is another one (RFC 9110 §13.1.5). */
  readonly ifRange?: string;
  readonly signal?: AbortSignal;
}

export interface Content {
  /** Where `bytes` begin; 0 when the whole is sent. */
  readonly from: number;
  /** Size of the whole. */
  readonly sizeBytes: number;
  /** Names the bytes: equal tags, equal bytes. */
  readonly etag: string | null;
  /** To be read once. @throws LongshoreError server_unavailable when the connection breaks. */
  readonly bytes: AsyncIterable<Uint8Array<ArrayBuffer>>;
}

/** What `contentAt` would send, without the bytes. */
export async function contentFacts(
  connection: Connection,
  path: string,
  signal: AbortSignal | undefined,
): Promise<Pick<Content, "sizeBytes" | "etag">> {
  const silence = silenceGuard(SILENCE_MS, signal);
  const { headers } = await silence.during(connection.send(path, { method: "HEAD", signal: silence.signal }));
  return { sizeBytes: Number(headers.get("content-length")), etag: headers.get("etag") };
}

export async function contentAt(
  connection: Connection,
  path: string,
  { from, to, ifRange, signal }: ContentOptions,
): Promise<Content> {
  const ranged = from !== undefined || to !== undefined;
  const silence = silenceGuard(SILENCE_MS, signal);
  const request = {
    headers: {
      ...(ranged ? { range: `bytes=${from ?? 0}-${to ?? ""}` } : {}),
      ...(ranged && ifRange !== undefined ? { "if-range": ifRange } : {}),
    },
    signal: silence.signal,
  };
  const response = await silence.during(connection.send(path, request));
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "") ?? [];
  return {
    from: Number(start ?? 0),
    sizeBytes: Number(total ?? response.headers.get("content-length")),
    etag: response.headers.get("etag"),
    bytes: silence.guarded(bodyOf(response, silence.signal)),
  };
}
