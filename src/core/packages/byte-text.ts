import { PIECE_SIZE } from "./row-format.ts";

const LAST_ASCII = 0x7f;
/** Of UTF-8, for each unit of UTF-16. */
const MOST_BYTES = 3;

/**
 * Text that is put together as UTF-8 in memory that is used again and again. Put together as a string, it would be kept as
 * its millions of parts until somebody reads it: most of the time of a table went into sweeping them up.
 */
export class ByteText {
  #bytes = Buffer.allocUnsafeSlow(2 * PIECE_SIZE);
  #length = 0;

  /** It is enough for a write. */
  get isFull(): boolean {
    return this.#length >= PIECE_SIZE;
  }

  /** What has been put together since it was taken last; its memory is used again by what is added next. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }

  /** Adds text as it is. */
  add(text: string): void {
    this.#makeRoom(text.length * MOST_BYTES);
    const bytes = this.#bytes;
    let at = this.#length;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > LAST_ASCII) {
        at += bytes.write(text.slice(index), at);
        break;
      }
      bytes[at++] = code;
    }
    this.#length = at;
  }

  /** Adds what lies somewhere as UTF-8: a loop, as mostly it is a few bytes. */
  copy(from: Uint8Array, start: number, end: number): void {
    this.#makeRoom(end - start);
    const bytes = this.#bytes;
    let at = this.#length;
    for (let index = start; index < end; index++) bytes[at++] = from[index] ?? 0;
    this.#length = at;
  }

  #makeRoom(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}
