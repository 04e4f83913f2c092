import { backoff, type Cart, type DownloadForm, type Longshore, LongshoreError } from "../../sdk/index.ts";
import { durationText } from "../amounts.ts";
import type { Terminal } from "../terminal.ts";

/** How many times in a row the same trouble is not told again: several connections break together. */
const SAME_TROUBLE_MS = 1_000;

/** The archive of a cart, on a server that may be lost and found again. */
export interface CartDownload {
  readonly sizeBytes: number;
  readonly etag: string;
  /**
   * The bytes from `from` to before `until`, all of them: a broken connection is continued where it broke. Ending the loop
   * early closes it, and so does the signal.
   * @throws {@link DownloadChanged}, and LongshoreError when further tries are of no use.
   */
  bytes(from: number, until: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
}

/** The archive is another one than before: nothing that was received belongs to it. */
export class DownloadChanged extends Error {
  override readonly name = "DownloadChanged";
}

export interface DownloadContext {
  readonly client: Longshore;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

export async function cartDownload(
  { client, terminal, signal }: DownloadContext,
  cart: Cart,
  form: DownloadForm,
): Promise<CartDownload> {
  let toldAt = Number.NEGATIVE_INFINITY;
  const retrying = (signal: AbortSignal) =>
    backoff({
      signal,
      onRetry(error, pauseMs) {
        if (performance.now() - toldAt < SAME_TROUBLE_MS) return;
        toldAt = performance.now();
        terminal.note(`  ${error.message} Trying again in ${durationText(pauseMs)}.`);
      },
    });

  async function facts() {
    for (const retry = retrying(signal); ; ) {
      try {
        return await client.carts.stat(cart.id, form, signal);
      } catch (error) {
        await retry.pause(error);
      }
    }
  }
  const { sizeBytes, etag } = await facts();
  if (etag === null) throw new LongshoreError("remote_refused", "The server does not name the download with an ETag.");

  return {
    sizeBytes,
    etag,
    async *bytes(from, until, signal) {
      const retry = retrying(signal);
      const part = until < sizeBytes ? { to: until - 1 } : {};
      for (let position = from; position < until; ) {
        try {
          const range = position > 0 || until < sizeBytes ? { from: position, ...part } : {};
          const content = await client.carts.download(cart.id, { ...form, ...range, ifRange: etag, signal });
          if (content.etag !== etag || content.sizeBytes !== sizeBytes) {
            throw new DownloadChanged(`The download of ${cart.name} has changed on the server.`);
          }
          if (content.from !== position)
            throw new LongshoreError("remote_refused", "The server does not send the part of the download asked for.");
          for await (const chunk of content.bytes) {
            const wanted = chunk.subarray(0, until - position);
            position += wanted.length;
            retry.progressed();
            yield wanted;
          }
          if (position < until)
            throw new LongshoreError("server_unavailable", `${cart.name} ended after ${position} bytes.`);
        } catch (error) {
          await retry.pause(error);
        }
      }
    },
  };
}
