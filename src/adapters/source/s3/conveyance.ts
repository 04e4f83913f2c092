import type { Conveyance, Freight, Outcome, Proven } from "../../../core/crawl/offload/conveyance.ts";
import { AppError, type Problem, problem } from "../../../core/errors.ts";
import { mapInOrder } from "../../../core/streams.ts";
import { openS3Store, placeIn, type S3Settings, type S3Store } from "../../s3/client.ts";
import { type CopyLimits, copyObject, type S3Version } from "../../s3/copy.ts";
import { storageFailure } from "../../s3/failure.ts";
import { headOf } from "../../s3/send.ts";
import { isPlainPath } from "../plain-path.ts";
import { factsAt, removeAt } from "./target.ts";

/** The journal of a move names so many at once: some hundred KiB. */
const FILES_AT_ONCE = 2_000;
/** Their bytes do not come by here. */
const COPIES_AT_ONCE = 32;
/** Copied in parts, several at once. */
const LARGE_BYTES = 64 * 1024 ** 2;
const weigh = ({ entry }: Freight) => (entry.sizeBytes < LARGE_BYTES ? 1 : 8);

export interface S3ConveyanceParts {
  /** Bucket and prefix, as in `bucket/some/folder`. */
  readonly source: string;
  readonly target: string;
  /** One server, and one key that opens both. */
  readonly settings: S3Settings;
  readonly limits?: CopyLimits;
}

/**
 * From one place of an S3 server to another: the server copies. A copy is proven when it has the size and the entity tag that
 * the source was listed with, which stand for its bytes; when the tags differ, as those of equal objects may (other parts,
 * other keys), both are read here, and their SHA-256 compared. A file is removed while it is the version that was listed.
 */
export async function s3Conveyance(parts: S3ConveyanceParts): Promise<Conveyance> {
  const { settings, limits } = parts;
  const target = await openS3Store(parts.target, settings);
  const source = { ...target, ...placeIn(parts.source) };

  async function head(store: S3Store, path: string, signal: AbortSignal): Promise<S3Version | undefined> {
    try {
      return await headOf(store, path, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw storageFailure(error, path);
    }
  }

  /** A server may list no tags. */
  async function versionOf({ entry }: Freight, signal: AbortSignal): Promise<S3Version | undefined> {
    const { path, sizeBytes, tag } = entry;
    return tag === undefined ? head(source, path, signal) : { sizeBytes, etag: tag };
  }

  async function outcomeOf(file: Freight, signal: AbortSignal): Promise<Outcome> {
    const { path, sizeBytes } = file.entry;
    signal.throwIfAborted();
    if (!isPlainPath(file.to))
      return { problem: problem("target_occupied", { path, hint: "the target cannot have a file of this name" }) };
    const version = await versionOf(file, signal);
    if (!version) return { problem: problem("object_missing", { path }) };
    const earlier = await head(target, file.to, signal);
    if (!earlier) {
      const end = await copyObject(target, file.to, { store: source, path, version }, signal, limits);
      if (end !== "copied")
        return { problem: problem(end === "changed" ? "source_changed" : "object_missing", { path }) };
    }
    const there = earlier ?? (await head(target, file.to, signal));
    if (there && isSame(there, version)) return { proof: { sizeBytes, sha256: null } };
    const now = await head(source, path, signal);
    const isChanged = !now || !isSame(now, version);
    const isLikely = !isChanged && there?.sizeBytes === sizeBytes;
    const sha256 = isLikely ? await sharedDigest(file, signal) : undefined;
    if (sha256 !== undefined) return { proof: { sizeBytes, sha256 } };
    const difference = { path, expected: sizeBytes, found: there?.sizeBytes ?? "nothing" };
    if (earlier) return { problem: problem("target_occupied", difference) };
    await removeAt(target, file.to);
    return { problem: problem(isChanged ? "source_changed" : "copy_mismatch", difference) };
  }

  /** What is wrong with one file alone is its problem. */
  async function outcome(file: Freight, signal: AbortSignal): Promise<Outcome> {
    try {
      return await outcomeOf(file, signal);
    } catch (error) {
      signal.throwIfAborted();
      return { problem: problemOf(error, file.entry.path) };
    }
  }

  /** The SHA-256 of both ends; `undefined` when it is not the same. */
  async function sharedDigest({ entry, to }: Freight, signal: AbortSignal): Promise<string | undefined> {
    const [one, other] = await Promise.all([factsAt(source, entry.path, signal), factsAt(target, to, signal)]);
    return one?.digests.sha256 === other?.digests.sha256 ? one?.digests.sha256 : undefined;
  }

  async function remove({ file }: Proven, signal: AbortSignal): Promise<Problem | undefined> {
    const { path } = file.entry;
    const now = await head(source, path, signal);
    if (!now) return undefined;
    const { sizeBytes, tag = now.etag } = file.entry;
    if (!isSame(now, { sizeBytes, etag: tag })) return problem("source_changed", { path });
    signal.throwIfAborted();
    await removeAt(source, path);
    return undefined;
  }

  return {
    filesAtOnce: FILES_AT_ONCE,

    /** A copy that the server goes on with is of the same bytes. */
    settle: async () => {},

    async copy(files, signal) {
      const outcomes = mapInOrder(files, COPIES_AT_ONCE, (file) => outcome(file, signal), weigh);
      return Array.fromAsync(outcomes);
    },

    async remove(files, signal) {
      const removing = mapInOrder(files, COPIES_AT_ONCE, (one) => remove(one, signal));
      return (await Array.fromAsync(removing)).filter((one) => one !== undefined);
    },

    /** A folder is only what keys have in common. */
    async prune() {},

    async close() {
      target.client.destroy();
    },
  };
}

/** @throws what is not about one file. */
function problemOf(error: unknown, path: string): Problem {
  if (!(error instanceof AppError)) throw error;
  const { reason, status, hint } = error.details;
  // In cold storage, or locked.
  if (reason === "InvalidObjectState" || reason === "AccessDenied")
    return problem("entry_unreadable", { path, hint: String(hint ?? reason) });
  if (status === 400) return problem("target_occupied", { path, hint: "the target cannot have a file of this name" });
  throw error;
}

const isSame = (one: S3Version, other: S3Version) => one.sizeBytes === other.sizeBytes && one.etag === other.etag;
