import { type Connection, jsonBody } from "./connection.ts";
import type { Job } from "./types.ts";

export interface DepositOptions {
  /** Sending the same key again returns the first job instead of a second one. */
  readonly idempotencyKey?: string;
  /** RFC 9530 dictionary of digests of the whole body, such as `sha-256=:…:`; a body that differs is refused. */
  readonly contentDigest?: string;
  readonly signal?: AbortSignal;
}

export interface BundlesApi {
  /**
   * Sends a whole bundle (an uncompressed tar) in one request; {@link UploadsApi.send} survives broken connections.
   * @returns its job, which may have failed already.
   */
  deposit(tar: ReadableStream<Uint8Array> | Blob, options?: DepositOptions): Promise<Job>;
  /** Moves files that lie on the server's disk; `metadata` is an array whose `Files` entries carry `source`. */
  move(metadata: readonly object[], options?: Omit<DepositOptions, "contentDigest">): Promise<Job>;
}

export function bundlesApi(connection: Connection): BundlesApi {
  return {
    deposit: (tar, options = {}) =>
      connection.json<Job>("/bundles", {
        method: "POST",
        headers: {
          "content-type": "application/x-tar",
          ...idempotency(options),
          ...(options.contentDigest === undefined ? {} : { "content-digest": options.contentDigest }),
        },
        body: tar,
        signal: options.signal,
      }),
    move(metadata, options = {}) {
      const request = jsonBody("POST", metadata, options.signal);
      return connection.json<Job>("/moves", { ...request, headers: { ...request.headers, ...idempotency(options) } });
    },
  };
}

function idempotency({ idempotencyKey }: DepositOptions): Record<string, string> {
  return idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey };
}
