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
const ASSEMBLED = "package.zip";

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

interface Member {
  readonly name: string;
  /** Of its file in the workspace. */
  readonly part: string;
  readonly isStored: boolean;
  readonly file: WorkFile;
  readonly deflate: BlockDeflate;
}

/** A member in a checkpoint. */
interface MemberState extends Deflated {
  readonly name: string;
  readonly part: string;
  readonly isStored: boolean;
}

/**
 * The ZIP of a package: each member is compressed into a file of its own while it is written, several at the same time,
 * and in the end they are put together. What a dead process has written is continued from its last checkpoint.
 * @param from what `checkpoint` gave; nothing: begins anew, whatever lies in the workspace.
 */
export async function packageZip(
  workspace: Workspace,
  { modifiedAt, from }: { readonly modifiedAt: number; readonly from?: Details | undefined },
): Promise<PackageZip> {
  const members = new Map<string, Promise<Member>>();
  let parts = 0;

  async function open(name: string, part: string, isStored: boolean, state?: Deflated): Promise<Member> {
    const file = await workspace.append(part, state?.compressedBytes ?? 0);
    const deflate = isStored
      ? stored((bytes) => file.write(bytes), state)
      : blockDeflate({ level: LEVEL, write: (bytes) => file.write(bytes), ...(state && { from: state }) });
    return { name, part, isStored, file, deflate };
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

  async function assemble(file: WorkFile): Promise<FinishedZip> {
    const hash = createHash("sha256");
    const put = async (bytes: Uint8Array) => {
      hash.update(bytes);
      await file.write(bytes);
    };
    const directory: Buffer[] = [];
    const finished: PackageMember[] = [];
    for (const opened of members.values()) {
      const { name, part, isStored, file: own, deflate } = await opened;
      const facts = await deflate.end();
      await own.close();
      const offset = file.sizeBytes;
      const member: ZipMember = { name, method: isStored ? "stored" : "deflated", modifiedAt, ...facts };
      const header = Buffer.alloc(localBytes(member));
      writeLocal(header, 0, member);
      await put(header);
      for await (const bytes of await workspace.open(part)) await put(bytes as Uint8Array);
      const found = file.sizeBytes - offset - header.length;
      if (found !== facts.compressedBytes)
        throw new AppError("object_corrupt", { path: name, expected: facts.compressedBytes, found });
      await workspace.remove(part);
      const entry = Buffer.alloc(centralBytes(member, offset >= MAX_32));
      writeCentral(entry, 0, member, offset, offset >= MAX_32);
      directory.push(entry);
      finished.push({ name, sizeBytes: facts.sizeBytes, crc32: facts.crc32 });
    }
    const directoryAt = file.sizeBytes;
    for (const entry of directory) await put(entry);
    await put(endOfDirectory(directory.length, directoryAt, file.sizeBytes - directoryAt));
    return { sizeBytes: file.sizeBytes, digest: hash.digest("hex"), members: finished };
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
      const bytes = await workspace.open(member.part);
      if (member.isStored) yield* bytes;
      // The stream has no end yet. What breaks it is thrown here.
      else yield* pipeline(bytes, createInflateRaw({ finishFlush: constants.Z_SYNC_FLUSH }), () => undefined);
    },

    async finish(fileName) {
      const file = await workspace.append(ASSEMBLED, 0);
      let zip: FinishedZip;
      try {
        zip = await assemble(file);
        await file.sync();
      } finally {
        await file.close();
        await closeAll();
      }
      await workspace.publish(ASSEMBLED, fileName);
      return zip;
    },

    close: closeAll,
  };
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
