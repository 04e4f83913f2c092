import { malformed } from "../malformed.ts";

/** Fields of a structure, one after the other, little-endian. @throws AppError content_malformed where they end early. */
export class Fields {
  readonly #bytes: Buffer;
  readonly #origin: number;
  #at = 0;

  /** @param origin of the bytes in the file: for messages. */
  constructor(bytes: Buffer, origin: number) {
    this.#bytes = bytes;
    this.#origin = origin;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** In the file. */
  get offset(): number {
    return this.#origin + this.#at;
  }

  skip(length: number): this {
    this.#passed(length);
    return this;
  }

  u8(): number {
    return this.#bytes[this.#passed(1)] ?? 0;
  }

  u16(): number {
    return this.#bytes.readUInt16LE(this.#passed(2));
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#passed(4));
  }

  /** An unsigned integer of 1 to 8 bytes. @throws also for what is above 2^53: no file has so much of anything. */
  sized(size: number): number {
    const at = this.#passed(size);
    if (size <= 6) return this.#bytes.readUIntLE(at, size);
    const value = this.#bytes.readUIntLE(at + 4, size - 4) * 2 ** 32 + this.#bytes.readUInt32LE(at);
    if (!Number.isSafeInteger(value)) throw malformed("a number is impossible", this.offset - size);
    return value;
  }

  /** `undefined` for all bits set: addresses of nothing and unlimited sizes are written so. */
  sizedOrNone(size: number): number | undefined {
    for (let i = 0; i < size; i++) if (this.#bytes[this.#at + i] !== 0xff) return this.sized(size);
    this.skip(size);
    return undefined;
  }

  take(length: number): Buffer {
    const at = this.#passed(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** The next fields, as fields of their own. */
  part(length: number): Fields {
    const { offset } = this;
    return new Fields(this.take(length), offset);
  }

  /** Text up to a NUL. @param padded it takes a multiple of so many bytes with it. */
  text(padded = 1): string {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end < 0) throw malformed("a name does not end", this.offset);
    const text = this.#bytes.toString("utf8", this.#at, end);
    const length = end + 1 - this.#at;
    // The last padding may be left out.
    this.skip(Math.min(Math.ceil(length / padded) * padded, this.left));
    return text;
  }

  /** @throws AppError content_malformed when other letters are there. */
  expect(signature: string): this {
    const { offset } = this;
    if (this.take(signature.length).toString("latin1") !== signature)
      throw malformed(`no ${signature} is there`, offset);
    return this;
  }

  /** @returns where they begin. */
  #passed(length: number): number {
    if (length < 0 || length > this.left) throw malformed("a structure ends early", this.offset);
    const at = this.#at;
    this.#at += length;
    return at;
  }
}

/** Bytes that fields take that hold numbers up to so many. */
export function bytesFor(limit: number): number {
  return limit <= 0 ? 1 : Math.floor(Math.log2(limit) / 8) + 1;
}
