import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { type Problem, problem } from "../../errors.ts";
import { type ArchiveMember, passingFile, passingStream, tarMembers, zipMembers } from "../archive-members.ts";
import { fileByFile } from "../file-by-file.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed, malformedProblem } from "../malformed.ts";
import { mediaTypeOf } from "../media-type.ts";
import { COUNT, FLAG, listSchema, NUMBER, objectSchema, orNull, TEXT } from "../record-schema.ts";
import { HEAD_BYTES } from "../text-encoding.ts";

/** Members that are listed; all are counted. */
const MAX_LISTED = 5000;
const MAX_MEMBERS = 5_000_000;
/** What is expanded of a gzip file: a bomb says its size there, and no more. */
const MAX_EXPANDED_BYTES = 4 * 1024 ** 3;
const MAX_RATIO = 250;
/** Below, a high ratio (deflate reaches 1,030) is harmless. */
const HARMLESS_BYTES = 64 * 1024 * 1024;

/** What archives hold, by their directories; of gzip, by expanding it without keeping anything, within bounds. */
export const extractor = fileByFile({
  name: "archive-listing",
  version: "1",
  takes: { mediaTypes: ["application/zip", "application/x-tar", "application/gzip"], extensions: ["tar"] },
  schema: objectSchema({
    format: { enum: ["zip", "tar", "gzip", "tar+gzip"] },
    files: COUNT,
    folders: COUNT,
    others: { ...COUNT, description: "links, devices" },
    expandedBytes: { ...COUNT, description: "of all files together" },
    ratio: orNull({ ...NUMBER, description: "expanded bytes by the archive's own" }),
    unsafePaths: { ...COUNT, description: "absolute, or climbing out of the folder that they are unpacked to" },
    encrypted: COUNT,
    isWhole: { ...FLAG, description: "false when damage or a limit ended the listing" },
    members: listSchema(
      objectSchema({
        path: TEXT,
        kind: { enum: ["file", "folder", "other"] },
        sizeBytes: COUNT,
        storedBytes: orNull(COUNT),
        modifiedAt: orNull(TEXT),
      }),
    ),
  }),
  async describe(bytes, { name }) {
    const counts = { files: 0, folders: 0, others: 0, unsafePaths: 0, encrypted: 0 };
    const members: Omit<ArchiveMember, "isEncrypted">[] = [];
    const problems: Problem[] = [];
    let expandedBytes = 0;
    let isWhole = true;
    let total = 0;

    function add({ isEncrypted, ...member }: ArchiveMember): void {
      total += 1;
      if (total > MAX_MEMBERS) throw malformed(`there are more than ${MAX_MEMBERS} members`);
      counts[member.kind === "file" ? "files" : member.kind === "folder" ? "folders" : "others"] += 1;
      expandedBytes = Math.min(Number.MAX_SAFE_INTEGER, expandedBytes + member.sizeBytes);
      if (isUnsafe(member.path)) counts.unsafePaths += 1;
      if (isEncrypted) counts.encrypted += 1;
      if (members.length < MAX_LISTED) members.push({ ...member, path: member.path.slice(0, 4096).toWellFormed() });
    }

    const { format, run } = formatOf(bytes);
    let actual: "tar+gzip" | undefined;
    try {
      const found = await run(add);
      if (found === "tar") actual = "tar+gzip";
    } catch (error) {
      isWhole = false;
      problems.push(malformedProblem(error, name));
    }
    if (members.length === 0 && !isWhole && format !== "gzip")
      throw malformed(problems[0]?.message ?? "it is no archive");
    const ratio = bytes.sizeBytes === 0 ? null : Math.round((expandedBytes / bytes.sizeBytes) * 100) / 100;
    if (ratio !== null && ratio > MAX_RATIO && expandedBytes > HARMLESS_BYTES)
      problems.push(problem("content_malformed", { path: name, hint: `it expands ${Math.floor(ratio)} times` }));
    return { data: { format: actual ?? format, ...counts, expandedBytes, ratio, isWhole, members }, problems };
  },
});

type Add = (member: ArchiveMember) => void;

function formatOf(bytes: LocalBytes) {
  const type = mediaTypeOf(bytes.read(0, HEAD_BYTES));
  if (type === "application/gzip") return { format: "gzip", run: (add: Add) => gzip(bytes, add) } as const;
  if (type === "application/zip")
    return {
      format: "zip",
      async run(add: Add) {
        for (const member of zipMembers(bytes)) add(member);
      },
    } as const;
  return {
    format: "tar",
    async run(add: Add) {
      for await (const member of tarMembers(passingFile(bytes))) add(member);
    },
  } as const;
}

/** RFC 1952: one file, whose name the header may tell; or a tar, whose members are listed. */
async function gzip(bytes: LocalBytes, add: Add): Promise<"tar" | "file"> {
  let expanded = 0;
  const source = Readable.from(copies(bytes), { objectMode: false });
  const gunzip = createGunzip();
  source.on("error", (error) => gunzip.destroy(error)).pipe(gunzip);
  async function* bounded(): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      expanded += chunk.length;
      if (expanded > MAX_EXPANDED_BYTES || (expanded > HARMLESS_BYTES && expanded > bytes.sizeBytes * MAX_RATIO))
        throw malformed(`it expands to more than ${expanded} bytes`);
      yield chunk;
    }
  }
  const chunks = bounded();
  try {
    const first = await chunks.next();
    const head = first.value ?? Buffer.alloc(0);
    if (mediaTypeOf(head) === "application/x-tar") {
      for await (const member of tarMembers(passingStream(behind(head, chunks)))) add(member);
      return "tar";
    }
    for await (const _ of chunks);
    add({ ...gzipHeader(bytes), kind: "file", sizeBytes: expanded, storedBytes: bytes.sizeBytes, isEncrypted: false });
    return "file";
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw /^Z_/.test(code) ? malformed(`gzip: ${(error as Error).message}`) : error;
  } finally {
    gunzip.destroy();
    source.destroy();
  }
}

/** A chunk is overwritten by the next, while the decompressor may still hold it. */
function* copies(bytes: LocalBytes): Generator<Buffer, void, undefined> {
  for (const chunk of bytes.chunks()) yield Buffer.from(chunk);
}

async function* behind(head: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  yield head;
  yield* rest;
}

function gzipHeader(bytes: LocalBytes): { readonly path: string; readonly modifiedAt: string | null } {
  const head = bytes.read(0, 4096);
  const flags = head[3] ?? 0;
  const seconds = head.length >= 8 ? head.readUInt32LE(4) : 0;
  const extra = (flags & 4) !== 0 && head.length >= 12 ? 2 + head.readUInt16LE(10) : 0;
  const nameEnd = head.indexOf(0, 10 + extra);
  const path = (flags & 8) !== 0 && nameEnd >= 0 ? head.toString("latin1", 10 + extra, nameEnd) : "";
  return { path, modifiedAt: seconds === 0 ? null : new Date(seconds * 1000).toISOString() };
}

function isUnsafe(path: string): boolean {
  return /^([/\\]|[a-z]:)/i.test(path) || path.split(/[/\\]/).includes("..");
}
