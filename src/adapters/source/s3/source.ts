import type { ListObjectsV2CommandOutput } from "@aws-sdk/client-s3";
import { nameOf } from "../../../core/crawl/names.ts";
import type { Listing, Source, SourceEntry } from "../../../core/crawl/source.ts";
import { AppError, type Problem, problem } from "../../../core/errors.ts";
import { decodedKey, openS3Store, type S3Settings } from "../../s3/client.ts";
import { isPassing, s3Failure } from "../../s3/failure.ts";
import { readable } from "../../s3/read.ts";
import { pagedWalk } from "../paged-walk.ts";
import { isPlainPath } from "../plain-path.ts";

const FOLDERS_AT_ONCE = 8;

export interface S3SourceParts {
  /** Bucket and prefix, as in `bucket/some/folder`. */
  readonly place: string;
  readonly settings: S3Settings;
}

/**
 * Objects of a bucket below a prefix. Keys are taken for paths: what they have before a `/` is a folder. A key that is no
 * plain path is a problem of the folder it would be in; objects that only stand for a folder (empty, with a key that ends
 * with `/`) are left out. There are no links and no modes. Some folders are listed at once, each page of thousand keys as it
 * is wanted.
 */
export async function s3Source({ place, settings }: S3SourceParts): Promise<Source> {
  const store = await openS3Store(place, settings);
  const { client, driver, bucket, prefix } = store;
  const closing = new AbortController();

  async function page(folder: string, signal: AbortSignal, token?: string): Promise<ListObjectsV2CommandOutput> {
    const command = new driver.ListObjectsV2Command({
      Bucket: bucket,
      Prefix: `${prefix}${folder === "" ? "" : `${folder}/`}`,
      Delimiter: "/",
      // XML has no way to write every character that a key may have.
      EncodingType: "url",
      ContinuationToken: token,
    });
    return client.send(command, { abortSignal: signal });
  }

  /** The first page, or why there is none. @throws AppError endpoint_unreachable when that concerns the whole store. */
  async function firstPage(folder: string, signal: AbortSignal): Promise<ListObjectsV2CommandOutput | Problem> {
    try {
      const found = await page(folder, signal);
      const isThere = (found.Contents ?? []).length > 0 || (found.CommonPrefixes ?? []).length > 0;
      if (isThere || (folder === "" && prefix === "")) return found;
      if (folder !== "") return problem("entry_unreadable", { path: folder, hint: "it is not there" });
      throw new AppError("endpoint_unreachable", { reason: "nothing lies there" });
    } catch (error) {
      return failureOf(error, folder, signal);
    }
  }

  function failureOf(error: unknown, folder: string, signal: AbortSignal): Problem {
    signal.throwIfAborted();
    const failure = s3Failure(error);
    const { reason } = failure;
    if (folder === "" || isPassing(failure)) throw new AppError("endpoint_unreachable", { reason }, { cause: error });
    return problem("entry_unreadable", { path: folder, hint: reason });
  }

  async function* list(
    folder: string,
    first: ListObjectsV2CommandOutput | Problem,
    hidden: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Listing> {
    const broken = (found: Problem) => ({ folder, entries: [], problems: [found], isLast: true });
    if ("code" in first) return yield broken(first);
    for (let found = first; ; ) {
      const token = found.NextContinuationToken;
      yield { folder, ...entriesOf(found, folder, hidden), isLast: token === undefined };
      if (token === undefined) return;
      try {
        found = await page(folder, signal, token);
      } catch (error) {
        return yield broken(failureOf(error, folder, signal));
      }
    }
  }

  function entriesOf(found: ListObjectsV2CommandOutput, folder: string, hidden: boolean) {
    const entries: SourceEntry[] = [];
    const problems: Problem[] = [];
    const below = `${prefix}${folder === "" ? "" : `${folder}/`}`;

    function take(encoded: string | undefined, entry: Omit<SourceEntry, "path">): void {
      const key = decodedKey(encoded);
      // The object that stands for this folder.
      if (key === below && entry.sizeBytes === 0) return;
      const path = key.slice(prefix.length, entry.kind === "folder" ? -1 : undefined);
      if (!hidden && nameOf(path).startsWith(".") && nameOf(path) !== "." && nameOf(path) !== "..") return;
      if (isPlainPath(path)) entries.push({ ...entry, path });
      else problems.push(problem("entry_unreadable", { path: key, hint: "its key is no plain path" }));
    }

    for (const { Prefix } of found.CommonPrefixes ?? [])
      take(Prefix, { kind: "folder", sizeBytes: 0, modifiedAt: null, mode: null });
    for (const { Key, Size = 0, LastModified, ETag: tag } of found.Contents ?? []) {
      const modifiedAt = LastModified?.getTime() ?? null;
      take(Key, { kind: "file", sizeBytes: Size, modifiedAt, mode: null, ...(tag !== undefined && { tag }) });
    }
    return { entries, problems };
  }

  return {
    walk: (asked) =>
      pagedWalk(
        {
          asked,
          foldersAtOnce: FOLDERS_AT_ONCE,
          firstPage: firstPage,
          listings: (folder, first, signal) => list(folder, first, asked.hidden, signal),
        },
        closing.signal,
      ),

    async open(path, range) {
      if (!isPlainPath(path)) throw new AppError("object_missing", { path });
      return readable(store, path, range, { refusal, signal: closing.signal });
    },

    async close() {
      closing.abort(new AppError("remote_unavailable", { reason: "the store was closed" }));
      client.destroy();
    },
  };
}

/** What reading an object met, in our words. */
export function refusal(error: unknown, path: string): AppError {
  const failure = s3Failure(error);
  const { reason, status } = failure;
  const details = { path, reason, ...(status === undefined ? {} : { status }) };
  const code = isPassing(failure)
    ? "remote_unavailable"
    : status === 412
      ? "source_changed"
      : status === 416
        ? "range_not_satisfiable"
        : status === 404 || status === 403
          ? "object_missing"
          : "remote_refused";
  return new AppError(code, details, { cause: error });
}
