import { LongshoreError } from "../../sdk/index.ts";

/**
 * What is passed over is received and dropped up to this many bytes, and beyond that not received at all: asking a server
 * anew takes a round trip, in which a line of 100 Mbit/s and 80 ms carries this much.
 */
const WORTH_ASKING_ANEW_BYTES = 1024 * 1024;

/** The bytes of an archive in order, wherever they come from. */
export interface ArchiveBytes {
  readonly sizeBytes: number;
  /** Offset of the byte that comes next. */
  readonly position: number;
  /** The next `count` bytes as one piece, good until anything else is asked for. */
  take(count: number): Promise<Uint8Array>;
  /** At least one and at most `most` bytes, as they come; good until anything else is asked for. */
  some(most: number): Promise<Uint8Array>;
  /** Forward only. */
  seek(position: number): Promise<void>;
  /** Lets go of the source; whoever reads on opens it again. */
  close(): Promise<void>;
}

/** @param open the bytes from an offset to the end; a chunk is used up before the next is asked for. */
export function archiveBytes(sizeBytes: number, open: (from: number) => AsyncIterable<Uint8Array>): ArchiveBytes {
  let source: AsyncIterator<Uint8Array> | undefined;
  let chunk: Uint8Array = new Uint8Array();
  let at = 0;
  let position = 0;

  /** Sees to it that there is something in `chunk`. */
  async function fill(): Promise<void> {
    while (at === chunk.length) {
      source ??= open(position)[Symbol.asyncIterator]();
      const { done, value } = await source.next();
      if (done) throw unexpected("it ends too early", position);
      chunk = value;
      at = 0;
    }
  }

  function consume(count: number): Uint8Array {
    const part = chunk.subarray(at, at + count);
    at += part.length;
    position += part.length;
    return part;
  }

  async function close(): Promise<void> {
    const open = source;
    source = undefined;
    chunk = chunk.subarray(0, 0);
    at = 0;
    await open?.return?.();
  }

  return {
    sizeBytes,
    get position() {
      return position;
    },
    async take(count) {
      if (chunk.length - at >= count) return consume(count);
      const piece = new Uint8Array(count);
      for (let filled = 0; filled < count; ) {
        await fill();
        const part = consume(count - filled);
        piece.set(part, filled);
        filled += part.length;
      }
      return piece;
    },
    async some(most) {
      await fill();
      return consume(most);
    },
    async seek(target) {
      if (!source || target - position > WORTH_ASKING_ANEW_BYTES + chunk.length - at) {
        await close();
        position = target;
      }
      while (position < target) {
        await fill();
        consume(target - position);
      }
    },
    close,
  };
}

/** What comes is not what this program's own server makes, and therefore not touched. */
export function unexpected(what: string, at: number): LongshoreError {
  return new LongshoreError("remote_refused", `The download is not an archive as Longshore makes it: ${what}.`, {
    details: { at, found: what },
  });
}
