import { AppError } from "../errors.ts";
import { archiveParts, bytesIn, type Pass, passesOf } from "./archive-parts.ts";
import type { ReadyEntry } from "./cart.ts";
import type { Checkpoint, EntrySource, Layout, LayoutSpec, Piece } from "./layout.ts";
import { manifestLine } from "./manifest-text.ts";

/** Where neighbouring bytes of the format are cut into pieces, about. */
const PIECE_BYTES = 64 * 1024;
/** The longest padding there is: what fills up a block of tar. */
const ZEROS = Buffer.alloc(512);
const BEGINNING: Checkpoint = { seq: 0, offsets: { members: 0, directory: 0, manifest: 0 } };

/**
 * The bytes `range.start` to `range.end` of an archive, both included and within it; all of them when left out. In order
 * and without gaps; no piece is empty. Reads at most one checkpoint for each part that the range touches, and the entries
 * from there on; holds one page of them.
 *
 * @throws AppError cart_failed, before the last byte, when the entries are not those that the layout was planned with.
 */
export async function* pieces(
  spec: LayoutSpec,
  layout: Layout,
  range: { readonly start: number; readonly end: number } | undefined,
  source: EntrySource,
): AsyncGenerator<Piece> {
  const { start, end } = range ?? { start: 0, end: layout.sizeBytes - 1 };
  if (!(0 <= start && start <= end && end < layout.sizeBytes))
    throw new RangeError(`Bytes ${start} to ${end} are not within an archive of ${layout.sizeBytes} bytes.`);
  const { members } = passesOf(spec);
  const joined = joinedBytes();
  let partAt = 0;
  for (const part of archiveParts(spec, layout)) {
    const from = Math.max(0, start - partAt);
    const to = Math.min(part.sizeBytes, end + 1 - partAt);
    partAt += part.sizeBytes;
    if (from >= to) continue;
    if ("bytes" in part) {
      joined.add(part.bytes.subarray(from, to));
      continue;
    }
    const { region } = part.pass;
    const { seq, offsets } = (from > 0 ? await source.checkpoint(region, from) : undefined) ?? BEGINNING;
    const window: Window = { from, to, seq, at: offsets[region], offset: offsets.members };
    for await (const page of source.from(seq)) {
      // Not `yield*`, which in an asynchronous generator awaits each piece twice.
      for (const piece of cut(window, page, part.pass, members, joined)) yield piece;
      if (window.at >= to) break;
    }
    const ended = window.seq === layout.fileCount;
    if (window.at < to || (window.at === part.sizeBytes) !== ended)
      throw new AppError("cart_failed", {
        expected: `${layout.fileCount} files, ${part.sizeBytes} bytes of ${region}`,
        found: `${window.seq} files, ${window.at} bytes`,
      });
  }
  if (joined.sizeBytes > 0) yield joined.take();
}

/** A cart's manifest as it lies in its downloads, page by page. Memory: one page. */
export async function* manifestText(
  content: Exclude<LayoutSpec["content"], "files">,
  source: Pick<EntrySource, "from">,
): AsyncGenerator<Uint8Array> {
  for await (const page of source.from(0))
    yield Buffer.from(page.map((entry) => manifestLine(content, entry)).join(""));
}

/** What is wanted of a pass, and how far it has been gone through. */
interface Window {
  /** Offsets in the region. */
  readonly from: number;
  readonly to: number;
  /** The entry to come, where it begins in the region, and where among the members. */
  seq: number;
  at: number;
  offset: number;
}

/** Goes through a page of entries; what it yields lies within the window. The last format bytes stay in `joined`. */
function* cut(
  window: Window,
  page: readonly ReadyEntry[],
  pass: Pass,
  members: Pass,
  joined: JoinedBytes,
): Generator<Piece> {
  for (const entry of page) {
    if (entry.seq !== window.seq) throw new AppError("cart_failed", { expected: window.seq, found: entry.seq });
    // The window as seen from the entry's first byte: before its end it is never.
    const from = Math.max(0, window.from - window.at);
    const to = window.to - window.at;
    const fileAt = pass.headBytes(entry, window.offset);
    const paddingAt = fileAt + pass.fileBytes(entry);
    const end = paddingAt + pass.paddingBytes(entry);
    if (from < fileAt) joined.add(pass.head(entry, window.offset).subarray(from, to));
    const first = Math.max(from, fileAt);
    const last = Math.min(to, paddingAt);
    if (first < last) {
      if (joined.sizeBytes > 0) yield joined.take();
      yield { entry, start: first - fileAt, sizeBytes: last - first };
    }
    if (paddingAt < end && from < end && to > paddingAt)
      joined.add(ZEROS.subarray(Math.max(0, from - paddingAt), Math.min(to, end) - paddingAt));
    if (joined.sizeBytes >= PIECE_BYTES) yield joined.take();

    window.seq++;
    window.at += end;
    window.offset += pass === members ? end : bytesIn(members, entry, window.offset);
    if (window.at >= window.to) return;
  }
}

type JoinedBytes = ReturnType<typeof joinedBytes>;

/** Bytes of the format that follow each other: the padding of one member and the header of the next are one piece. */
function joinedBytes() {
  let parts: Uint8Array[] = [];
  let sizeBytes = 0;
  return {
    get sizeBytes() {
      return sizeBytes;
    },
    add(bytes: Uint8Array) {
      parts.push(bytes);
      sizeBytes += bytes.length;
    },
    take(): Piece {
      const bytes = Buffer.concat(parts, sizeBytes);
      parts = [];
      sizeBytes = 0;
      return { bytes };
    },
  };
}
