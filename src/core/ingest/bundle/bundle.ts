import { contentPaths } from "../../archive/content-path.ts";
import type { StagedTree, WrittenFile } from "../../archive/object-storage.ts";
import { type DigestName, type Digests, multiHash } from "../../digest.ts";
import { AppError, type Problem, problem } from "../../errors.ts";
import { jsonLines, linesOf } from "../../streams.ts";
import { refusal } from "../refusal.ts";
import { memberTable, type StagedMember } from "./member-table.ts";
import { readTar, type TarMember } from "./tar-reader.ts";

export const METADATA_PATH = "metadata.txt";
/** Where the metadata as received lies in the object. */
export const METADATA_CONTENT_PATH = "v1/content/metadata.txt";
const PAYLOAD_PREFIX = "data/";
/** Codes of what is wrong with a tar. */
export const TAR_FAULT = /^bundle_/;
const MEMBERS_NOTE = "members";
/** More members than this in one bundle are refused: a little of each is kept in memory. */
const MAX_MEMBERS = 2_000_000;
const MAX_PROBLEMS = 1_000;

export interface ReceiveOptions {
  /** Algorithms computed for every file as it passes. */
  readonly algorithms: readonly DigestName[];
  /** Digests of the whole stream that were promised. If any, the stream must be one that can be left and read on. */
  readonly expected: Digests;
  /** Told of the bytes as they come. */
  onBytes(count: number): void;
  readonly signal: AbortSignal;
}

export interface ReceivedBundle {
  readonly memberCount: number;
  readonly sizeBytes: number;
  /** Members that are not part of a deposit (outside `data/`): reported, not kept. */
  readonly passedOver: readonly Problem[];
}

/**
 * Reads a bundle once, from its first byte to its last: parses the tar, stages every file, hashes it on the way, and
 * leaves a note with what a later process needs to go on. Durable on return.
 *
 * Memory: the writer's buffers, and names and facts of the members: 0.3 KiB for each.
 * @throws AppError of the tar reader; `bundle_refused` (or the one code all problems share) listing members that cannot
 * be taken in; digest_mismatch when the stream is not what was promised; storage errors.
 */
export async function receiveBundle(
  bytes: AsyncIterable<Uint8Array>,
  tree: StagedTree,
  options: ReceiveOptions,
): Promise<ReceivedBundle> {
  const writer = tree.writer(options.algorithms);
  const paths = contentPaths();
  const names = new Set<string>();
  /** Begun, and not learned yet. */
  const begun: Pick<StagedMember, "path" | "modifiedAt">[] = [];
  const members = memberTable();
  const problems: Problem[] = [];
  const passedOver: Problem[] = [];
  const note = (list: Problem[], found: Problem) => {
    if (list.length < MAX_PROBLEMS) list.push(found);
  };

  function begin(member: TarMember): boolean {
    if (names.size >= MAX_MEMBERS)
      throw new AppError("bundle_refused", { expected: `at most ${MAX_MEMBERS} files`, found: "more" });
    if (member.name !== METADATA_PATH && !member.name.startsWith(PAYLOAD_PREFIX)) {
      note(passedOver, problem("member_unlisted", { path: member.name }));
      return false;
    }
    if (names.has(member.name)) {
      const code = member.name === METADATA_PATH ? "metadata_duplicate" : "bundle_member_duplicate";
      note(problems, problem(code, { path: member.name }));
      return false;
    }
    names.add(member.name);
    begun.push({ path: member.name, modifiedAt: member.modifiedAt });
    writer.begin(paths.choose(member.name));
    learn(writer.take());
    return true;
  }

  /** What was begun and what came of it, both in tar order. */
  function learn(written: readonly WrittenFile[]): void {
    const ended = begun.splice(0, written.length);
    for (const [i, { path: contentPath, ...facts }] of written.entries()) {
      const member = ended[i];
      if (member) members.add({ ...member, contentPath, ...facts });
    }
  }

  try {
    const whole = multiHash(Object.keys(options.expected) as DigestName[]);
    const observe = (chunk: Uint8Array) => {
      options.signal.throwIfAborted();
      whole.update(chunk);
      options.onBytes(chunk.length);
    };
    const sink = { begin, data: writer.write, end: writer.end, refuse: (reason: Problem) => note(problems, reason) };
    const fault = await tarFault(readTar(observed(bytes, observe), sink));
    // Bytes that were damaged on their way are no bad bundle. What is left of them tells.
    if (fault && Object.keys(options.expected).length > 0) for await (const chunk of bytes) observe(chunk);
    checkPromise(options.expected, whole.digests());
    if (fault) throw fault;
    for (const clash of fileFolderClashes(names)) note(problems, clash);
    if (problems.length > 0) throw refusal(problems);
    learn(await writer.finish());

    await noteMembers(tree, members);
    await tree.sync();
    return { memberCount: members.size, sizeBytes: members.sizeBytes, passedOver };
  } finally {
    await writer.abort();
  }
}

/** What is wrong with the tar itself; anything else that reading it meets is thrown. */
async function tarFault(reading: Promise<void>): Promise<AppError | undefined> {
  try {
    await reading;
    return undefined;
  } catch (error) {
    if (error instanceof AppError && TAR_FAULT.test(error.code)) return error;
    throw error;
  }
}

/** Leaves a note of what was received, for whoever accepts it. */
export function noteMembers(tree: StagedTree, members: Iterable<StagedMember>): Promise<void> {
  return tree.putNote(MEMBERS_NOTE, jsonLines(members));
}

/** The members that were noted, in their order. */
export async function* stagedMembers(tree: StagedTree): AsyncGenerator<StagedMember> {
  const note = await tree.openNote(MEMBERS_NOTE);
  if (!note) throw new AppError("stage_missing", { prefix: tree.prefix });
  for await (const line of linesOf(note)) yield JSON.parse(line);
}

async function* observed(
  bytes: AsyncIterable<Uint8Array>,
  observe: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    observe(chunk);
    yield chunk;
  }
}

function checkPromise(expected: Digests, found: Digests): void {
  for (const [algorithm, value] of Object.entries(expected)) {
    const actual = found[algorithm as DigestName];
    if (actual !== value)
      throw new AppError("digest_mismatch", {
        of: "the request body",
        algorithm,
        expected: value,
        found: actual ?? "",
      });
  }
}

/** A name that is both a file and the folder of another file: no file system and no OCFL state can hold both. */
function* fileFolderClashes(files: ReadonlySet<string>): Generator<Problem> {
  const reported = new Set<string>();
  for (const path of files) {
    for (let slash = path.lastIndexOf("/"); slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
      const folder = path.slice(0, slash);
      if (!files.has(folder) || reported.has(folder)) continue;
      reported.add(folder);
      yield problem("bundle_name_unsafe", { path: folder, found: `a file, and the folder of ${path}` });
    }
  }
}
