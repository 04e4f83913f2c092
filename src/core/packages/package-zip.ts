import { createHash } from "node:crypto";
import { pipeline } from "node:stream";
import { constants, createInflateRaw } from "node:zlib";
import { AppError, type Details } from "../errors.ts";
import { type BlockDeflate, blockDeflate, type Deflated } from "../zip/block-deflate.ts";
import {
  centralBytes,
  endOfDirectory,
  localBytes,
  MAX_32,
  writeCentral,
  writeLocal,
  type ZipMember,
} from "../zip/headers.ts";
import { stored } from "../zip/stored.ts";
import type { PackageMember } from "./package.ts";
import type { WorkFile, Workspace } from "./package-files.ts";
import type { PackageSink } from "./row-format.ts";

/**
 * Compression of a million rows of 21 columns (376 MB): see docs/decisions for the figures of each level. Beyond 4 a ZIP
 * gets a few per cent smaller and takes twice as long.
 */
const LEVEL = 4;

export interface PackageZip extends PackageSink {
  /** All that was written is durable; given back as `from`, it is what another goes on from. */
  checkpoint(): Promise<Details>;
  /** In the order of the ZIP. */
  names(): readonly string[];
  /** What was written into a member so far, read back: to go on with what was reckoned over it. */
  written(name: string): AsyncIterable<Uint8Array>;
  /** Assembles the ZIP, flat, and publishes it: visible when whole and durable. Nothing can be written afterwards. */
  finish(fileName: string): Promise<FinishedZip>;
  /** Lets go of files; the workspace stays as it is. */
  close(): Promise<void>;
}

export interface FinishedZip {
  readonly sizeBytes: number;
  /** SHA-256, lower-case hex. */
  readonly digest: string;
  readonly members: readonly PackageMember[];
}

const NOTHING: Deflated = { crc32: 0, sizeBytes: 0, compressedBytes: 0 };

interface Member {
  readonly name: string;
  /** Of its file in the workspace. */
  readonly part: string;
  readonly isStored: boolean;
  /** Begins with room for the member's header, which is written when all is known that it says. */
  readonly file: WorkFile;
  readonly headerBytes: number;
  readonly deflate: BlockDeflate;
}

/** A member in a checkpoint. */
interface MemberState extends Deflated {
  readonly name: string;
  readonly part: string;
  readonly isStored: boolean;
}

/**
 * The ZIP of a package: each member is compressed into a file of its own while it is written, several at the same time;
 * in the end the first one's file, mostly by far the largest, becomes the ZIP, and the others are put behind it. What a dead
 * process has written is continued from its last checkpoint.
 * @param from what `checkpoint` gave; nothing: begins anew, whatever lies in the workspace.
 */
export async function packageZip(
  workspace: Workspace,
  { modifiedAt, from }: { readonly modifiedAt: number; readonly from?: Details | undefined },
): Promise<PackageZip> {
  const members = new Map<string, Promise<Member>>();
  let parts = 0;

  async function open(name: string, part: string, isStored: boolean, from?: Deflated): Promise<Member> {
    const headerBytes = localBytes(zipMember(name, isStored));
    const file = await workspace.append(part, from ? headerBytes + from.compressedBytes : 0);
    if (!from) await file.write(Buffer.alloc(headerBytes));
    const write = (pieces: readonly Uint8Array[]) => file.write(...pieces);
    const deflate = isStored ? stored(write, from) : blockDeflate({ level: LEVEL, write, ...(from && { from }) });
    return { name, part, isStored, file, headerBytes, deflate };
  }

  function zipMember(name: string, isStored: boolean, facts: Deflated = NOTHING): ZipMember {
    return { name, method: isStored ? "stored" : "deflated", modifiedAt, hasRoom64: true, ...facts };
  }

  const states = (from?.members ?? []) as unknown as readonly MemberState[];
  for (const { name, part, isStored, ...state } of states) members.set(name, open(name, part, isStored, state));
  parts = Number(from?.parts ?? 0);
  try {
    await Promise.all(members.values());
  } catch (error) {
    await closeAll();
    throw error;
  }

  async function closeAll(): Promise<void> {
    for (const opened of await Promise.allSettled(members.values()))
      if (opened.status === "fulfilled") await opened.value.file.close();
    members.clear();
  }

  /** Ends a member, and writes its header into the room for it. */
  async function ended({ name, isStored, file, headerBytes, deflate }: Member): Promise<ZipMember> {
    const facts = zipMember(name, isStored, await deflate.end());
    requireSize(name, headerBytes + facts.compressedBytes, file.sizeBytes);
    const header = Buffer.alloc(headerBytes);
    writeLocal(header, 0, facts);
    await file.replace(0, header);
    return facts;
  }

  /** Puts the other members behind the first one, and the directory behind all. @returns the first one, whose file is the ZIP. */
  async function assemble(): Promise<{ readonly zip: Member; readonly finished: readonly ZipMember[] }> {
    const [zip, ...others] = await Promise.all(members.values());
    if (!zip) throw new AppError("internal", { expected: "a package with a member" });
    const finished = [await ended(zip)];
    const offsets = [0];
    for (const other of others) {
      finished.push(await ended(other));
      offsets.push(zip.file.sizeBytes);
      for await (const bytes of other.file.read(0)) await zip.file.write(bytes);
      requireSize(other.name, (offsets.at(-1) ?? 0) + other.file.sizeBytes, zip.file.sizeBytes);
      await other.file.close();
      await workspace.remove(other.part);
    }
    const directoryAt = zip.file.sizeBytes;
    for (const [at, member] of finished.entries()) {
      const offset = offsets[at] ?? 0;
      const entry = Buffer.alloc(centralBytes(member, offset >= MAX_32));
      writeCentral(entry, 0, member, offset, offset >= MAX_32);
      await zip.file.write(entry);
    }
    await zip.file.write(endOfDirectory(finished.length, directoryAt, zip.file.sizeBytes - directoryAt));
    return { zip, finished };
  }

  return {
    member(name, options) {
      let member = members.get(name);
      if (!member) {
        member = open(name, `${++parts}.part`, options?.stored === true);
        member.catch(() => undefined); // thrown by the first write
        members.set(name, member);
      }
      return writingTo(member);
    },

    async drop(name) {
      const member = await members.get(name);
      members.delete(name);
      if (!member) return;
      await member.deflate.flush();
      await member.file.close();
      await workspace.remove(member.part);
    },

    async checkpoint() {
      const written: MemberState[] = [];
      for (const opened of members.values()) {
        const { name, part, isStored, file, deflate } = await opened;
        const state = await deflate.flush();
        await file.sync();
        written.push({ name, part, isStored, ...state });
      }
      return { parts, members: written.map((state) => ({ ...state })) };
    },

    names: () => [...members.keys()],

    async *written(name) {
      const member = await members.get(name);
      if (!member) return;
      await member.deflate.flush();
      const bytes = member.file.read(member.headerBytes);
      if (member.isStored) yield* bytes;
      // The stream has no end yet. What breaks it is thrown here.
      else yield* pipeline(copies(bytes), createInflateRaw({ finishFlush: constants.Z_SYNC_FLUSH }), () => undefined);
    },

    async finish(fileName) {
      try {
        const { zip, finished } = await assemble();
        // Not while it is written: its first header is known last.
        const hash = createHash("sha256");
        for await (const bytes of zip.file.read(0)) hash.update(bytes);
        const { sizeBytes } = zip.file;
        await zip.file.sync();
        await zip.file.close();
        await workspace.publish(zip.part, fileName);
        return {
          sizeBytes,
          digest: hash.digest("hex"),
          members: finished.map((member) => ({ name: member.name, sizeBytes: member.sizeBytes, crc32: member.crc32 })),
        };
      } finally {
        await closeAll();
      }
    },

    close: closeAll,
  };
}

/** @throws AppError object_corrupt. */
function requireSize(path: string, expected: number, found: number): void {
  if (found !== expected) throw new AppError("object_corrupt", { path, expected, found });
}

/** For a stream, which reads ahead. */
async function* copies(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) yield Buffer.from(piece);
}

/** A sink of a member that is still being opened: only its first writes wait for that. */
function writingTo(member: Promise<Member>): ReturnType<PackageSink["member"]> {
  let opened: Member | undefined;
  return {
    write(part) {
      if (opened) return opened.deflate.write(part);
      return member.then((one) => {
        opened = one;
        return one.deflate.write(part);
      });
    },
  };
}
