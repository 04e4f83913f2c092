import { constants, crc32, deflateRaw, deflateRawSync } from "node:zlib";

/** Compressed on its own, on whichever core is free: enough that the seams cost little, little enough to hold several. */
const BLOCK_BYTES = 1024 * 1024;
/** Made at a time: what most blocks become. In pieces of the usual 16 KiB it costs a fifth more. */
const OUTPUT_BYTES = 256 * 1024;
/**
 * What does not become smaller than this is not worth the effort: 1 GiB of noise takes 29 s of processor time, and four when
 * it is only stored (RFC 1951 §3.2.4).
 */
const WORTHWHILE = 0.97;
/** Of a block in doubt, by which it is judged. */
const SAMPLE_BYTES = 32 * 1024;
/** What deflate looks back: a block is given the end of the one before, so that a seam costs next to nothing. */
const WINDOW_BYTES = 32 * 1024;
/** Blocks under way: being compressed, or waiting for their turn to be written. */
const UNDER_WAY = 4;
/** An empty last block (RFC 1951 §3.2.3): ends a stream whose other blocks were none of them the last. */
const LAST_BLOCK = Buffer.from([0x03, 0x00]);

/** What has gone into a deflated stream. */
export interface Deflated {
  readonly crc32: number;
  readonly sizeBytes: number;
  readonly compressedBytes: number;
}

/** One deflated stream (RFC 1951), compressed in blocks on several cores and written in order. */
export interface BlockDeflate {
  /** Text becomes UTF-8. A promise only when compression is behind: await it before the next call. */
  write(part: string | Uint8Array): Promise<void> | undefined;
  /** Until all that was written has gone to the sink; it can be continued from there by another. */
  flush(): Promise<Deflated>;
  /** Ends the stream. */
  end(): Promise<Deflated>;
}

export interface BlockDeflateOptions {
  /** 1 to 9; 0 stores. */
  readonly level: number;
  /** Told the compressed bytes in order, one after the other. */
  write(bytes: Uint8Array): Promise<void>;
  /** What an earlier one had flushed, to go on after it. */
  readonly from?: Deflated;
}

export function blockDeflate({ level, write, from }: BlockDeflateOptions): BlockDeflate {
  let block = Buffer.allocUnsafe(BLOCK_BYTES);
  let filled = 0;
  let window: Buffer | undefined;
  let { crc32: crc, sizeBytes, compressedBytes } = from ?? { crc32: 0, sizeBytes: 0, compressedBytes: 0 };
  /** Each resolves when its block has been written. */
  const underWay: Promise<void>[] = [];
  let last: Promise<void> = Promise.resolve();
  /** Set by a block that was not worthwhile, until a sample of another one is. */
  let inDoubt = false;

  function compress(): void {
    const bytes = block.subarray(0, filled);
    crc = crc32(bytes, crc);
    sizeBytes += filled;
    const dictionary = window;
    window = Buffer.from(bytes.subarray(Math.max(0, filled - WINDOW_BYTES)));
    inDoubt &&= !isWorthwhile(bytes);
    const compressed = deflated(bytes, inDoubt ? 0 : level, dictionary);
    compressed.catch(() => undefined); // thrown when its turn comes
    const before = last;
    last = (async () => {
      await before;
      const piece = await compressed;
      if (piece.length > bytes.length * WORTHWHILE) inDoubt = true;
      await write(piece);
      compressedBytes += piece.length;
    })();
    last.catch(() => undefined); // as above
    underWay.push(last);
    block = Buffer.allocUnsafe(BLOCK_BYTES);
    filled = 0;
  }

  function add(bytes: Uint8Array, from: number): number {
    const count = Math.min(BLOCK_BYTES - filled, bytes.length - from);
    block.set(bytes.subarray(from, from + count), filled);
    filled += count;
    return from + count;
  }

  async function addAll(bytes: Uint8Array, from: number): Promise<void> {
    for (let at = from; at < bytes.length; ) {
      at = add(bytes, at);
      if (filled < BLOCK_BYTES) break;
      compress();
      while (underWay.length >= UNDER_WAY) await underWay.shift();
    }
  }

  async function flush(): Promise<Deflated> {
    if (filled > 0) compress();
    underWay.length = 0;
    await last;
    return { crc32: crc, sizeBytes, compressedBytes };
  }

  return {
    write(part) {
      const bytes = typeof part === "string" ? Buffer.from(part) : part;
      if (filled + bytes.length >= BLOCK_BYTES) return addAll(bytes, 0);
      add(bytes, 0);
      return undefined;
    },
    flush,
    async end() {
      const all = await flush();
      await write(LAST_BLOCK);
      compressedBytes = all.compressedBytes + LAST_BLOCK.length;
      return { ...all, compressedBytes };
    },
  };
}

function isWorthwhile(bytes: Buffer): boolean {
  const middle = Math.max(0, (bytes.length - SAMPLE_BYTES) >> 1);
  const sample = bytes.subarray(middle, middle + SAMPLE_BYTES);
  return deflateRawSync(sample, { level: 1 }).length <= sample.length * WORTHWHILE;
}

/**
 * A piece of a stream that ends on a byte and is not its last: its own bytes are not referred to by what follows, but
 * for the dictionary. In libuv's pool, so beside the caller.
 */
function deflated(bytes: Buffer, level: number, dictionary: Buffer | undefined): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = {
      level,
      chunkSize: OUTPUT_BYTES,
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(dictionary && { dictionary }),
    };
    deflateRaw(bytes, options, (error, compressed) => (error ? reject(error) : resolve(compressed)));
  });
}
