import { contentPaths } from "../archive/content-path.ts";
import type { StagedTree, WrittenFile } from "../archive/object-storage.ts";
import { type DigestName, type Digests, multiHash } from "../digest.ts";
import { AppError, type Problem, problem } from "../errors.ts";
import { jsonLines, linesOf } from "../streams.ts";
import { refusal } from "./refusal.ts";
import { readTar, type TarMember } from "./tar-reader.ts";

/** A file of the bundle as it lies in the staged tree, with what was learned while its bytes passed. */
export interface StagedMember {
  /** Logical path: `metadata.txt` or `data/…`. */
  readonly path: string;
  /** Path inside the tree. */
  readonly contentPath: string;
  readonly sizeBytes: number;
  readonly digests: Digests;
  readonly crc32: number;
  /** Epoch seconds, from the tar. */
  readonly modifiedAt: number;
}

export const METADATA_PATH = "metadata.txt";
/** Where the metadata as received lies in the object. */
export const METADATA_CONTENT_PATH = "v1/content/metadata.txt";
const PAYLOAD_PREFIX = "data/";
/** Codes of what is wrong with a tar. */
export const TAR_FAULT = /^bundle_/;
const MEMBERS_NOTE = "members";
/** More members than this in one bundle are refused: one record per member is kept in memory. */
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
 * Memory: the writer's buffers and one record per member.
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
  /** By name, in tar order: when each was changed, in epoch seconds. */
  const begun = new Map<string, number>();
  const problems: Problem[] = [];
  const passedOver: Problem[] = [];
  const note = (list: Problem[], found: Problem) => {
    if (list.length < MAX_PROBLEMS) list.push(found);
  };

  function begin(member: TarMember): boolean {
    if (begun.size >= MAX_MEMBERS)
      throw new AppError("bundle_refused", { expected: `at most ${MAX_MEMBERS} files`, found: "more" });
    if (member.name !== METADATA_PATH && !member.name.startsWith(PAYLOAD_PREFIX)) {
      note(passedOver, problem("member_unlisted", { path: member.name }));
      return false;
    }
    if (begun.has(member.name)) {
      const code = member.name === METADATA_PATH ? "metadata_duplicate" : "bundle_member_duplicate";
      note(problems, problem(code, { path: member.name }));
      return false;
    }
    const contentPath = paths.choose(member.name);
    begun.set(member.name, member.modifiedAt);
    writer.begin(contentPath);
    return true;
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
    for (const clash of fileFolderClashes(begun.keys())) note(problems, clash);
    if (problems.length > 0) throw refusal(problems);
    const written = await writer.finish();

    await tree.putNote(MEMBERS_NOTE, jsonLines(members(begun, written)));
    await tree.sync();
    return { memberCount: written.length, sizeBytes: written.reduce((sum, f) => sum + f.sizeBytes, 0), passedOver };
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

/** What was begun and what came of it, one after the other: there is no second list of a million members. */
function* members(begun: ReadonlyMap<string, number>, written: readonly WrittenFile[]): Generator<StagedMember> {
  const names = begun.entries();
  for (const { path: contentPath, ...facts } of written) {
    const [path = "", modifiedAt = 0] = names.next().value ?? [];
    yield { path, contentPath, modifiedAt, ...facts };
  }
}

/** The members that `receiveBundle` left a note of, in tar order. */
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
function* fileFolderClashes(paths: Iterable<string>): Generator<Problem> {
  const files = new Set(paths);
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
