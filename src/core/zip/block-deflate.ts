import { constants, crc32, createDeflateRaw, deflateRawSync } from "node:zlib";

/** Compressed on its own, on whichever core is free: enough that the seams cost little, little enough to hold several. */
const BLOCK_BYTES = 512 * 1024;
/** Made at a time: what most blocks become. In pieces of the usual 16 KiB it costs a fifth more. */
const OUTPUT_BYTES = 128 * 1024;
/** Blocks at once: one is filled while others are compressed, or wait for their turn to be written. */
const BLOCKS = 4;
/** What does not become smaller than this is not worth the effort: it is stored. */
const WORTHWHILE = 0.97;
/** By so many pieces of it a block in doubt is judged, from its beginning to its end. */
const SAMPLES = 4;
const SAMPLE_BYTES = 2 * 1024;
/** RFC 1951 §3.2.4: a stored block's length has 16 bits. */
const MAX_STORED = 65_535;
const STORED_HEADER_BYTES = 5;
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
  /**
   * Text becomes UTF-8; bytes may be used again once it has returned, or its promise is kept. A promise only when
   * compression is behind: await it before the next call.
   */
  write(part: string | Uint8Array): Promise<void> | undefined;
  /** Until all that was written has gone to the sink; it can be continued from there by another. */
  flush(): Promise<Deflated>;
  /** Ends the stream. */
  end(): Promise<Deflated>;
}

export interface BlockDeflateOptions {
  /** 1 to 9. */
  readonly level: number;
  /** Told the compressed bytes in order, some pieces at a time; their memory is used again when its promise is kept. */
  write(pieces: readonly Uint8Array[]): Promise<void>;
  /** What an earlier one had flushed, to go on after it. */
  readonly from?: Deflated;
}

/** Room for a block and the means to compress it, used over and over: what is allocated anew for each piles up. */
interface Slot {
  readonly bytes: Buffer;
  readonly deflate: (bytes: Buffer) => Promise<readonly Uint8Array[]>;
  /** Until its block is written. */
  written: Promise<void>;
}

export function blockDeflate({ level, write, from }: BlockDeflateOptions): BlockDeflate {
  const slots: Slot[] = [];
  let slot = emptySlot(level);
  let filled = 0;
  let { crc32: crc, sizeBytes, compressedBytes } = from ?? { crc32: 0, sizeBytes: 0, compressedBytes: 0 };
  let last: Promise<void> = Promise.resolve();
  /** Set by a block that was not worthwhile, until a sample of another one is. */
  let inDoubt = false;

  function compress(): void {
    const { bytes, deflate } = slot;
    const block = bytes.subarray(0, filled);
    crc = crc32(block, crc);
    sizeBytes += filled;
    inDoubt &&= !isWorthwhile(block);
    const compressed = inDoubt ? Promise.resolve(storedBlocks(block)) : deflate(block);
    compressed.catch(() => undefined); // thrown when its turn comes
    const before = last;
    last = (async () => {
      await before;
      const pieces = await compressed;
      const pieceBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
      if (pieceBytes > block.length * WORTHWHILE) inDoubt = true;
      await write(pieces);
      compressedBytes += pieceBytes;
    })();
    last.catch(() => undefined); // as above
    slot.written = last;
    slots.push(slot);
    filled = 0;
  }

  /** The room that is free next, or soonest. */
  async function nextSlot(): Promise<void> {
    const oldest = slots.length < BLOCKS ? undefined : slots.shift();
    await oldest?.written;
    slot = oldest ?? emptySlot(level);
  }

  function add(bytes: Uint8Array, from: number): number {
    const count = Math.min(BLOCK_BYTES - filled, bytes.length - from);
    slot.bytes.set(bytes.subarray(from, from + count), filled);
    filled += count;
    return from + count;
  }

  async function addAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      at = add(bytes, at);
      if (filled < BLOCK_BYTES) break;
      compress();
      await nextSlot();
    }
  }

  async function flush(): Promise<Deflated> {
    if (filled > 0) {
      compress();
      await nextSlot();
    }
    await last;
    return { crc32: crc, sizeBytes, compressedBytes };
  }

  return {
    write(part) {
      const bytes = typeof part === "string" ? Buffer.from(part) : part;
      if (filled + bytes.length >= BLOCK_BYTES) return addAll(bytes);
      add(bytes, 0);
      return undefined;
    },
    flush,
    async end() {
      const all = await flush();
      await write([LAST_BLOCK]);
      compressedBytes = all.compressedBytes + LAST_BLOCK.length;
      return { ...all, compressedBytes };
    },
  };
}

function emptySlot(level: number): Slot {
  return { bytes: Buffer.allocUnsafeSlow(BLOCK_BYTES), deflate: deflater(level), written: Promise.resolve() };
}

/**
 * Compresses one block after the other, in libuv's pool, so beside the caller. Each becomes a piece of a stream that ends on
 * a byte, is not the stream's last, and refers to nothing before it (RFC 1951 §3.2; zlib's full flush): pieces of several
 * deflaters make up one stream, in any order.
 */
function deflater(level: number): Slot["deflate"] {
  const stream = createDeflateRaw({ level, chunkSize: OUTPUT_BYTES });
  let pieces: Uint8Array[] = [];
  stream.on("data", (piece: Uint8Array) => pieces.push(piece));
  return (block) =>
    new Promise((resolve, reject) => {
      stream.once("error", reject);
      stream.write(block);
      stream.flush(constants.Z_FULL_FLUSH, () => {
        stream.off("error", reject);
        resolve(pieces);
        pieces = [];
      });
    });
}

function isWorthwhile(block: Buffer): boolean {
  const step = Math.max(SAMPLE_BYTES, Math.floor(block.length / SAMPLES));
  const samples = Array.from({ length: SAMPLES }, (_, n) => block.subarray(n * step, n * step + SAMPLE_BYTES));
  const sample = Buffer.concat(samples);
  return deflateRawSync(sample, { level: 1 }).length <= sample.length * WORTHWHILE;
}

/** As they are (RFC 1951 §3.2.4), without asking zlib: 1 GiB of noise takes it 29 s of processor time at level 4. */
function storedBlocks(block: Buffer): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < block.length; at += MAX_STORED) {
    const part = block.subarray(at, at + MAX_STORED);
    const header = Buffer.alloc(STORED_HEADER_BYTES); // not the last, stored, to the byte
    header.writeUInt16LE(part.length, 1);
    header.writeUInt16LE(MAX_STORED - part.length, 3);
    pieces.push(header, part);
  }
  return pieces;
}
