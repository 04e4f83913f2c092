import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import type { ReadyEntry } from "../../src/core/carts/cart.ts";
import {
  type Checkpoint,
  type EntrySource,
  type Layout,
  type LayoutSpec,
  layoutPlanner,
} from "../../src/core/carts/layout/layout.ts";
import { type ByteRange, pieces } from "../../src/core/carts/layout/virtual-archive.ts";

/** A file to be laid out: bytes, or so many zeros that nobody writes down. */
export interface LaidFile {
  readonly path: string;
  readonly content: string | Uint8Array | { readonly zeros: number };
  /** Epoch milliseconds; {@link SOME_TIME} when left out. */
  readonly modifiedAt?: number | null;
}

/** 2020-09-13T12:26:40Z */
export const SOME_TIME = 1_600_000_000_000;

export const SPEC: LayoutSpec = {
  format: "tar",
  content: "manifest",
  folder: "a cart",
  algorithm: "sha512",
  createdAt: Date.UTC(2026, 2, 4, 5, 6, 7),
};

/** A cart of these files, in this order, as layouts see it. */
export interface LaidCart {
  readonly files: readonly LaidFile[];
  readonly entries: readonly ReadyEntry[];
}

export function cartOf(files: readonly LaidFile[]): LaidCart {
  return { files, entries: files.map(entryOf) };
}

function entryOf({ path, content, modifiedAt = SOME_TIME }: LaidFile, seq: number): ReadyEntry {
  return {
    seq,
    path,
    ...factsOf(content),
    modifiedAt,
    fileId: null,
    transactionId: null,
    location: { at: "archive", path },
    expected: null,
  };
}

/** Zeros are neither digested nor summed up, as there are gigabytes of them: readers can find them, but not check them. */
function factsOf(content: LaidFile["content"]): Pick<ReadyEntry, "sizeBytes" | "crc32" | "digest"> {
  if (isHole(content)) return { sizeBytes: content.zeros, crc32: 0, digest: "0".repeat(128) };
  const bytes = Buffer.from(content as string);
  return { sizeBytes: bytes.length, crc32: crc32(bytes), digest: createHash("sha512").update(bytes).digest("hex") };
}

function isHole(content: LaidFile["content"]): content is { readonly zeros: number } {
  return typeof content === "object" && "zeros" in content;
}

export interface Plan {
  readonly layout: Layout;
  readonly checkpoints: readonly Checkpoint[];
}

export function plan(spec: LayoutSpec, entries: Iterable<ReadyEntry>): Plan {
  const planner = layoutPlanner(spec);
  const checkpoints: Checkpoint[] = [];
  for (const entry of entries) {
    const checkpoint = planner.add(entry);
    if (checkpoint) checkpoints.push(checkpoint);
  }
  return { layout: planner.finish(), checkpoints };
}

/** Entries and checkpoints in memory, with a count of what was read of them. */
export interface CountingSource extends EntrySource {
  readonly read: { checkpoints: number; pages: number; entries: number };
}

export function sourceOf(
  entries: readonly ReadyEntry[],
  checkpoints: readonly Checkpoint[] = [],
  pageEntries = 100,
): CountingSource {
  const read = { checkpoints: 0, pages: 0, entries: 0 };
  return {
    read,
    async checkpoint(region, offset) {
      read.checkpoints++;
      return checkpoints.findLast(({ offsets }) => offsets[region] <= offset);
    },
    async *from(seq) {
      for (let at = seq; at < entries.length; at += pageEntries) {
        const page = entries.slice(at, at + pageEntries);
        read.pages++;
        read.entries += page.length;
        yield page;
      }
    },
  };
}

/** The bytes of an archive without holes, or of a range of it, as a download has them. */
export async function archiveBytes(
  spec: LayoutSpec,
  cart: LaidCart,
  { layout, checkpoints }: Plan = plan(spec, cart.entries),
  range?: ByteRange,
): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces(spec, layout, range, sourceOf(cart.entries, checkpoints)))
    parts.push(
      "bytes" in piece ? piece.bytes : bytesOf(cart, piece.entry).subarray(piece.start, piece.start + piece.sizeBytes),
    );
  return Buffer.concat(parts);
}

/** Writes an archive to a file in which zeros of the files are holes: 20 GB take a few blocks. @returns its length. */
export async function writeArchive(path: string, spec: LayoutSpec, cart: LaidCart): Promise<number> {
  const { layout, checkpoints } = plan(spec, cart.entries);
  await using file = await open(path, "w");
  let at = 0;
  let pending: Uint8Array[] = [];
  const flush = async () => {
    const bytes = Buffer.concat(pending);
    await file.write(bytes, 0, bytes.length, at);
    at += bytes.length;
    pending = [];
  };
  for await (const piece of pieces(spec, layout, undefined, sourceOf(cart.entries, checkpoints))) {
    if ("entry" in piece && isHole(contentOf(cart, piece.entry))) {
      await flush();
      at += piece.sizeBytes;
    } else pending.push("bytes" in piece ? piece.bytes : bytesOf(cart, piece.entry));
    if (pending.length > 1000) await flush();
  }
  await flush();
  await file.truncate(at);
  return at;
}

function bytesOf(cart: LaidCart, entry: ReadyEntry): Buffer {
  const content = contentOf(cart, entry);
  return isHole(content) ? Buffer.alloc(content.zeros) : Buffer.from(content as string);
}

function contentOf(cart: LaidCart, entry: ReadyEntry): LaidFile["content"] {
  const file = cart.files[entry.seq];
  if (!file) throw new RangeError(`The cart has no file ${entry.seq}.`);
  return file.content;
}

/** Names, sizes and times that archive formats have had trouble with. */
export const AWKWARD: readonly LaidFile[] = [
  { path: "a", content: "" },
  { path: "b", content: "b" },
  { path: "sizes/511", content: Buffer.alloc(511, 1) },
  { path: "sizes/512", content: Buffer.alloc(512, 2) },
  { path: "sizes/513", content: Buffer.alloc(513, 3) },
  { path: "sizes/65537", content: Buffer.from(Uint8Array.from({ length: 65_537 }, (_, i) => (i * i) >> 7)) },
  { path: "blanks and (brackets) & 'quotes'.txt", content: "read me\n" },
  { path: "100%25 of #1, -- ~$HOME; !", content: "percent\n" },
  { path: "-begins-with-a-dash", content: "dash\n" },
  { path: "日本語/空 ファイル.txt", content: "こんにちは\n" },
  { path: "emoji/🦑.bin", content: Buffer.from([0, 255, 0]) },
  // Composed and decomposed: two names, which no reader may make one of.
  { path: "nfc/\u00fcmlaut", content: "composed\n" },
  { path: "nfd/u\u0308mlaut", content: "decomposed\n" },
  // "a cart/data/" takes 12 bytes: names of 99, 100 and 101 bytes, in one part and in two.
  { path: `n/${"n".repeat(85)}`, content: "99\n" },
  { path: `n/${"n".repeat(86)}`, content: "100\n" },
  { path: `n/${"n".repeat(87)}`, content: "101\n" },
  { path: `${"n".repeat(87)}/x`, content: "a slash at 100\n" },
  { path: `p/${"p".repeat(250)}`, content: "a part of 250 bytes\n" },
  { path: `${"long/".repeat(600)}way`, content: "3003 bytes\n" },
  { path: "times/epoch", content: "0", modifiedAt: 0 },
  { path: "times/odd second", content: "odd", modifiedAt: SOME_TIME + 1999 },
  { path: "times/2038", content: "2038", modifiedAt: 2 ** 31 * 1000 },
];

/** Times that some formats cannot tell. */
export const AWKWARD_TIMES: readonly LaidFile[] = [
  { path: "moon landing", content: "1969", modifiedAt: Date.UTC(1969, 6, 20, 20, 17, 40) },
  { path: "just before the epoch", content: "-1", modifiedAt: -1 },
  { path: "1815", content: "1815", modifiedAt: Date.UTC(1815, 5, 18) },
  { path: "2107", content: "2107", modifiedAt: Date.UTC(2107, 11, 31, 23, 59, 58) },
  { path: "2200", content: "2200", modifiedAt: Date.UTC(2200, 0, 1) },
  { path: "2242", content: "8^11 - 1", modifiedAt: (8 ** 11 - 1) * 1000 },
  { path: "2242 and a second", content: "8^11", modifiedAt: 8 ** 11 * 1000 },
  { path: "unknown", content: "null", modifiedAt: null },
];
