import { crc32 } from "node:zlib";
import { AppError } from "../../errors.ts";
import type { ReadyEntry } from "../cart.ts";
import type { ArchiveFormat, MemberFacts } from "./archive-format.ts";
import type { Checkpoint, Layout, LayoutSpec } from "./layout.ts";
import { BAGIT_TXT, bagInfo, manifestLine, manifestLineBytes, manifestName, tagManifest } from "./manifest-text.ts";
import { tarFormat } from "./tar-layout.ts";
import { zipFormat } from "./zip-layout.ts";

/** A part of an archive that goes through all entries. */
export type Region = keyof Checkpoint["offsets"];

/** What each entry has in a region. `offset` is where the entry begins among the members. */
export interface Pass {
  readonly region: Region;
  /** Length of what precedes the file. */
  headBytes(entry: ReadyEntry, offset: number): number;
  writeHead(target: Buffer, at: number, entry: ReadyEntry, offset: number): void;
  /** Bytes of the file itself, behind the head. */
  fileBytes(entry: ReadyEntry): number;
  /** Zeros behind the file. */
  paddingBytes(entry: ReadyEntry): number;
}

/** An archive is its parts, one after the other. */
export type Part =
  | { readonly sizeBytes: number; readonly bytes: Uint8Array }
  | { readonly sizeBytes: number; readonly pass: Pass };

/** What an entry has in a region, in all. */
export function bytesIn(pass: Pass, entry: ReadyEntry, offset: number): number {
  return pass.headBytes(entry, offset) + pass.fileBytes(entry) + pass.paddingBytes(entry);
}

/** The passes of an archive. @param lead where the first file begins; only the directory's bytes, not its length, tell it. */
export function passesOf(spec: LayoutSpec, lead = 0): Readonly<Record<Region, Pass>> {
  const format = formatOf(spec);
  const root = spec.content === "files" ? `${spec.folder}/` : `${spec.folder}/data/`;
  const none = () => 0;
  return {
    members: {
      region: "members",
      headBytes: (entry) => format.headBytes(root + entry.path, entry),
      writeHead: (target, at, entry) => format.writeHead(target, at, root + entry.path, entry),
      fileBytes: (entry) => entry.sizeBytes,
      paddingBytes: (entry) => format.paddingBytes(entry),
    },
    directory: {
      region: "directory",
      headBytes: (entry, offset) => format.directoryBytes(root + entry.path, entry, offset),
      writeHead: (target, at, entry, offset) =>
        format.writeDirectory(target, at, root + entry.path, entry, offset, lead),
      fileBytes: none,
      paddingBytes: none,
    },
    manifest: {
      region: "manifest",
      headBytes: spec.content === "files" ? none : (entry) => manifestLineBytes(spec.content, entry),
      writeHead: (target, at, entry) => target.write(manifestLine(spec.content, entry), at, "utf8"),
      fileBytes: none,
      paddingBytes: none,
    },
  };
}

/**
 * The archive from its first to its last byte: members that are no files, files, directory, end. The manifest comes before
 * the files, so that who reads a download as it arrives can check each file at once.
 * @throws AppError cart_refused when a ZIP's manifest is longer than 2 GiB.
 */
export function archiveParts(spec: LayoutSpec, layout: Omit<Layout, "sizeBytes">): readonly Part[] {
  const format = formatOf(spec);
  const parts: Part[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  const put = (part: Part) => {
    parts.push(part);
    at += part.sizeBytes;
  };
  const putBytes = (bytes: Uint8Array) => put({ sizeBytes: bytes.length, bytes });
  const putPass = (pass: Pass) => put({ sizeBytes: layout.regions[pass.region], pass });

  for (const { path, content, ...member } of tagMembers(spec, layout)) {
    const name = `${spec.folder}/${path}`;
    const record = Buffer.alloc(format.directoryBytes(name, member, at));
    format.writeDirectory(record, 0, name, member, at, 0);
    directory.push(record);
    const head = Buffer.alloc(format.headBytes(name, member));
    format.writeHead(head, 0, name, member);
    putBytes(head);
    if (content === "manifest") putPass(passesOf(spec).manifest);
    else putBytes(content);
    putBytes(Buffer.alloc(format.paddingBytes(member)));
  }
  if (at > format.maxLeadBytes)
    throw new AppError("cart_refused", { expected: `a manifest of at most ${format.maxLeadBytes} bytes`, found: at });

  const files = passesOf(spec, at);
  putPass(files.members);
  const directoryAt = at;
  putBytes(Buffer.concat(directory));
  putPass(files.directory);
  putBytes(format.end(directory.length + layout.fileCount, directoryAt, at - directoryAt));
  return parts;
}

interface TagMember extends MemberFacts {
  readonly path: string;
  readonly content: Uint8Array | "manifest";
}

/** The members that are no files. */
function tagMembers(spec: LayoutSpec, layout: Omit<Layout, "sizeBytes">): readonly TagMember[] {
  if (spec.content === "files") return [];
  const { manifestCrc32, manifestDigest } = layout.facts;
  if (manifestCrc32 === undefined || manifestDigest === undefined)
    throw new TypeError("A layout with a manifest has its CRC-32 and digest.");
  const { createdAt } = spec;
  const text = (path: string, content: string): TagMember => {
    const bytes = Buffer.from(content);
    return { path, content: bytes, sizeBytes: bytes.length, crc32: crc32(bytes), modifiedAt: createdAt };
  };
  const manifest: TagMember = {
    path: manifestName(spec.algorithm),
    content: "manifest",
    sizeBytes: layout.regions.manifest,
    crc32: manifestCrc32,
    modifiedAt: createdAt,
  };
  if (spec.content === "manifest") return [manifest];
  const tags = {
    "bag-info.txt": bagInfo(createdAt, layout.payloadBytes, layout.fileCount),
    "bagit.txt": BAGIT_TXT,
  };
  return [
    text("bagit.txt", tags["bagit.txt"]),
    text("bag-info.txt", tags["bag-info.txt"]),
    manifest,
    text(`tag${manifest.path}`, tagManifest(spec.algorithm, manifestDigest, tags)),
  ];
}

function formatOf({ format, createdAt }: LayoutSpec): ArchiveFormat {
  return format === "tar" ? tarFormat(createdAt) : zipFormat(createdAt);
}
