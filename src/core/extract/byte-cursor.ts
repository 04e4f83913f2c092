const NOTHING = Buffer.alloc(0);

/** Byte by byte through chunks, whose borders are not seen. Chunks may be reused by whoever gives them. */
export class ByteCursor {
  readonly #chunks: Iterator<Buffer>;
  #chunk = NOTHING;
  #at = 0;
  #before = 0;

  constructor(chunks: Iterable<Buffer>) {
    this.#chunks = chunks[Symbol.iterator]();
  }

  /** Of the next byte. */
  get offset(): number {
    return this.#before + this.#at;
  }

  /** The next byte, which stays the next; -1 at the end. */
  peek(): number {
    return this.#chunk[this.#at] ?? this.#refill();
  }

  /** The next byte, -1 at the end. */
  next(): number {
    const byte = this.#chunk[this.#at] ?? this.#refill();
    if (byte >= 0) this.#at += 1;
    return byte;
  }

  /** Goes on to the first byte of which `stops[byte]` is 1; what lies before, up to so many bytes, is returned. */
  until(stops: Uint8Array, keepBytes: number): Buffer {
    let kept = NOTHING;
    while (this.peek() >= 0) {
      const from = this.#at;
      const { length } = this.#chunk;
      let at = from;
      while (at < length && stops[this.#chunk[at] ?? 0] !== 1) at += 1;
      this.#at = at;
      if (kept.length < keepBytes && at > from) {
        const piece = this.#chunk.subarray(from, Math.min(at, from + keepBytes - kept.length));
        kept = Buffer.concat([kept, piece]);
      }
      if (at < length) break;
    }
    return kept;
  }

  #refill(): number {
    const { value } = this.#chunks.next();
    if (value === undefined) return -1;
    this.#before += this.#chunk.length;
    this.#chunk = value;
    this.#at = 0;
    return this.#chunk[0] ?? this.#refill();
  }
}

/** For {@link ByteCursor.until}. */
export function stopsAt(characters: string): Uint8Array {
  const stops = new Uint8Array(256);
  for (const byte of Buffer.from(characters, "latin1")) stops[byte] = 1;
  return stops;
}
