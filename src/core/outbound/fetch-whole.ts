import type { Readable } from "node:stream";
import type { Clock } from "../clock.ts";
import { AppError } from "../errors.ts";
import type { Fetch, FetchAnswer, FetchRequest } from "./fetch.ts";

export interface WholeAnswer extends Omit<FetchAnswer, "body"> {
  readonly body: Buffer;
}

/** Memory for one answer after another: the next one written into it ends the one before. */
export interface AnswerRoom {
  bytes: Buffer;
}

/** What it takes to fetch an answer whole. */
export interface WholeOptions {
  /** Why an answer is not one, though it is whole: half a document, an error that may pass. */
  readonly unfit?: (answer: WholeAnswer) => AppError | undefined;
  /** Where the body is put; without, in memory of its own. */
  readonly room?: AnswerRoom | undefined;
}

const TRIES = 4;
const FIRST_PAUSE_MS = 1_000;
const SMALL_BYTES = 64 * 1024;
/** Nobody gets more memory by announcing much. */
const MAX_ANNOUNCED = 16 * 1024 * 1024;

/** Grows as large as its largest answer. */
export const answerRoom = (): AnswerRoom => ({ bytes: Buffer.alloc(0) });

/**
 * Fetches an answer with all of its body, which fits in memory. What {@link Fetch} gives up as unavailable, or breaks in the
 * middle of the body, is fetched anew after a pause, as is what `unfit` finds wrong.
 */
export async function fetchWhole(
  fetch: Fetch,
  request: FetchRequest,
  clock: Clock,
  { unfit = () => undefined, room = answerRoom() }: WholeOptions = {},
): Promise<WholeAnswer> {
  for (let tries = 1; ; tries++) {
    try {
      const { body, ...head } = await fetch(request);
      const answer = { ...head, body: await collected(body, Number(head.headers["content-length"] ?? 0), room) };
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

/**
 * Puts a body together as it comes, so that each chunk is garbage at once: kept until the end they would take its size again.
 * @param announced a guess of its size, bytes.
 */
async function collected(body: Readable, announced: number, room: AnswerRoom): Promise<Buffer> {
  let size = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    const needed = size + chunk.length;
    if (needed > room.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(
        Math.max(needed, Math.min(announced, MAX_ANNOUNCED), 2 * room.bytes.length, SMALL_BYTES),
      );
      room.bytes.copy(larger, 0, 0, size);
      room.bytes = larger;
    }
    room.bytes.set(chunk, size);
    size = needed;
  }
  return room.bytes.subarray(0, size);
}
