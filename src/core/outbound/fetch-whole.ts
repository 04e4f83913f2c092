import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Fetch, FetchAnswer, FetchRequest } from "./fetch.ts";

export interface WholeAnswer extends Omit<FetchAnswer, "body"> {
  readonly body: Buffer;
}

const TRIES = 4;
const FIRST_PAUSE_MS = 1_000;

/**
 * Fetches an answer with all of its body, which fits in memory. What {@link Fetch} gives up as unavailable, or breaks in the
 * middle of the body, is fetched anew after a pause, as is what `unfit` finds wrong.
 * @param unfit why an answer is not one, though it is whole: half a document, an error that may pass.
 */
export async function fetchWhole(
  fetch: Fetch,
  request: FetchRequest,
  clock: Clock,
  unfit: (answer: WholeAnswer) => AppError | undefined = () => undefined,
): Promise<WholeAnswer> {
  for (let tries = 1; ; tries++) {
    try {
      const { body, ...head } = await fetch(request);
      // Not by `stream/consumers`: its way through a Blob takes more than twice the time, and the bytes twice.
      const answer = { ...head, body: Buffer.concat(await body.toArray()) };
      const reason = unfit(answer);
      if (!reason) return answer;
      if (tries === TRIES) throw reason;
    } catch (error) {
      request.signal.throwIfAborted();
      if (tries === TRIES || !(error instanceof AppError && error.code === "remote_unavailable")) throw error;
    }
    await clock.sleep(FIRST_PAUSE_MS * 2 ** (tries - 1), request.signal);
    request.signal.throwIfAborted();
  }
}
