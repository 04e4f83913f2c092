import { dirname } from "node:path";
import { type Cart, LongshoreError } from "../../sdk/index.ts";
import { bytesText, countText, rateMeter, transferText } from "../amounts.ts";
import { archiveBytes } from "../archive/archive-bytes.ts";
import { type BadMember, badFiles, type CheckOptions, checkArchive } from "../archive/check-archive.ts";
import type { Member } from "../archive/member.ts";
import { Interrupted } from "../failure.ts";
import type { Terminal } from "../terminal.ts";
import { byteRanges } from "./byte-ranges.ts";
import type { CartDownload } from "./cart-download.ts";
import { requireSpace } from "./local-write.ts";
import { openPartFile, type PartFile } from "./part-file.ts";

/** One request's part of the archive: short enough that all connections have something to do until the end. */
const MIN_PIECE_BYTES = 1024 * 1024;
const MAX_PIECE_BYTES = 64 * 1024 * 1024;
const PIECES_PER_CONNECTION = 8;

export interface ArchiveTransfer {
  readonly cart: Cart;
  readonly download: CartDownload;
  readonly check: Omit<CheckOptions, "keepManifest">;
  readonly target: string;
  readonly connections: number;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/**
 * Receives a cart's archive into a file, by several requests at a time, and checks every file in it while it grows. What an
 * earlier run has received is checked too, and what turns out wrong is received once more.
 * @throws LongshoreError digest_mismatch with the list, when that does not help either; the part file is kept.
 */
export async function receiveArchive(transfer: ArchiveTransfer): Promise<void> {
  const { cart, download, target, terminal } = transfer;
  const { etag, sizeBytes } = download;
  const { part, anew } = await openPartFile(`${target}.part`, { cart: cart.id, etag, sizeBytes });
  const forget = ({ startsAt, endsAt }: BadMember) => part.forget({ from: startsAt, until: endsAt });
  try {
    const had = part.present.bytes;
    if (anew) terminal.note(`  ${part.path} is part of another download; beginning anew.`);
    if (had > 0) terminal.note(`  Continuing: ${bytesText(had)} of ${bytesText(sizeBytes)} are here already.`);
    requireSpace(dirname(target), target, sizeBytes - had);

    const bad = await receiveAndCheck(part, transfer).catch((error: unknown) => {
      if (had === 0 || !(error instanceof LongshoreError) || error.code !== "remote_refused") throw error;
      terminal.note(`  ${part.path} is not what it was; beginning anew.`);
      part.forget({ from: 0, until: sizeBytes });
      return receiveAndCheck(part, transfer);
    });
    bad.forEach(forget);
    if (bad.length > 0) {
      terminal.note(
        `  ${countText(bad.length, "file")} came damaged, such as ${bad[0]?.path}; receiving them once more.`,
      );
      const stillBad = await receiveAndCheck(part, transfer);
      stillBad.forEach(forget);
      if (stillBad.length > 0) throw badFiles(stillBad, cart, "The same command asks for them again.");
    }
  } catch (error) {
    await part.close();
    if (error instanceof Interrupted)
      throw new Interrupted(
        `Interrupted: ${bytesText(part.present.bytes)} of ${bytesText(sizeBytes)} are here; the same command continues.`,
      );
    throw error;
  }
  await part.complete(target);
  terminal.note(`${target}: ${countText(cart.files, "file")}, ${bytesText(sizeBytes)}, each file as archived`);
}

/** Receives what is absent, and reads along behind it. @returns the files that are wrong. */
async function receiveAndCheck(part: PartFile, transfer: ArchiveTransfer): Promise<readonly BadMember[]> {
  const { cart, download, check, connections, terminal } = transfer;
  const { sizeBytes } = download;
  const stop = new AbortController();
  const signal = AbortSignal.any([transfer.signal, stop.signal]);
  const asked = byteRanges(part.present.list());
  const most = pieceBytes(sizeBytes - part.present.bytes, connections);
  const rate = rateMeter(() => performance.now());

  async function receive(): Promise<void> {
    for (let piece = asked.firstGap(sizeBytes, most); piece; piece = asked.firstGap(sizeBytes, most)) {
      asked.add(piece.from, piece.until);
      const writer = part.writer(piece.from);
      try {
        for await (const chunk of download.bytes(piece.from, piece.until, signal)) {
          writer.write(chunk);
          const { bytes } = part.present;
          terminal.progress(`  ${transferText(bytes, sizeBytes, rate.measure(bytes))}`);
        }
      } finally {
        writer.flush();
      }
    }
  }

  const archive = archiveBytes(sizeBytes, (from) => part.read(from, sizeBytes, signal));
  const keepManifest = async (manifest: Member) => {
    const from = archive.position;
    return () => part.read(from, from + manifest.sizeBytes, signal);
  };
  const checking = checkArchive(archive, cart, { ...check, keepManifest });
  const all = [checking, ...Array.from({ length: connections }, receive)];
  try {
    await Promise.all(all);
    return await checking;
  } finally {
    stop.abort(); // the first failure counts; nothing may go on behind its back
    await Promise.allSettled(all);
    await archive.close();
  }
}

function pieceBytes(missing: number, connections: number): number {
  const share = Math.ceil(missing / (connections * PIECES_PER_CONNECTION));
  return Math.min(MAX_PIECE_BYTES, Math.max(MIN_PIECE_BYTES, share));
}
