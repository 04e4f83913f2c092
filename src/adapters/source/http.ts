import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { ByteRange } from "../../core/archive/object-storage.ts";
import type { Clock } from "../../core/clock.ts";
import { nameOf } from "../../core/crawl/names.ts";
import type { Listing, Source, SourceEntry } from "../../core/crawl/source.ts";
import { AppError, type Problem, problem } from "../../core/errors.ts";
import type { Fetch, FetchAnswer } from "../../core/outbound/fetch.ts";
import { fetchWhole } from "../../core/outbound/fetch-whole.ts";
import { mapInOrder } from "../../core/streams.ts";
import { rangeWithin } from "../storage/byte-range.ts";
import { folderQueue } from "./folder-queue.ts";
import { type IndexLine, linesOfHtml, linesOfJson } from "./http-index.ts";

/** Some 400,000 names. */
const LISTING_BYTES = 64 * 1024 * 1024;
const LISTING_LIMITS = { headMs: 60_000, silenceMs: 60_000, totalMs: 10 * 60_000, bodyBytes: LISTING_BYTES };
const FILE_LIMITS = { headMs: 60_000, silenceMs: 60_000, totalMs: 24 * 3_600_000, bodyBytes: Number.MAX_SAFE_INTEGER };
const ENTRIES_AT_ONCE = 2_000;
const HEADS_AT_ONCE = 8;
/** A server that follows links may have folders in themselves, without end. */
const DEEPEST = 100;

export interface HttpSourceParts {
  /** Of the root's index; what it does not begin with is never asked for. Query and fragment are dropped. */
  readonly url: string;
  readonly fetch: Fetch;
  readonly clock: Clock;
}

interface Found {
  readonly entries: readonly SourceEntry[];
  readonly problems: readonly Problem[];
}

/**
 * Folders that a web server shows as index pages: Apache, nginx (HTML and JSON), Python's `http.server` and whatever else
 * links to what lies directly below. One page is in memory at a time. Size and time are those of the page where it says
 * them exactly, else of a `HEAD`; sizes of files that are compressed on their way are not known. Links cannot be told from
 * what they lead to; a folder that has the very same entries as one above it is taken for a loop, and ends there.
 *
 * `walk` also throws fetch_refused, for a root that may not be asked for at all. Folders fail one by one; when one does not
 * answer, and the root neither, the walk ends with endpoint_unreachable instead of failing for all the rest.
 */
export function httpSource({ url, fetch, clock }: HttpSourceParts): Source {
  const root = new URL(url);
  root.search = "";
  root.hash = "";
  if (!root.pathname.endsWith("/")) root.pathname += "/";
  const closing = new AbortController();

  /** `undefined` for paths that are not plainly below the root. */
  function addressOf(path: string): URL | undefined {
    const parts = path.split("/");
    const isPlain = parts.every((part) => part !== "" && part !== "." && part !== "..");
    return isPlain && path.isWellFormed() ? new URL(parts.map(encodeURIComponent).join("/"), root) : undefined;
  }

  const isBelow = (address: URL) => address.origin === root.origin && address.pathname.startsWith(root.pathname);

  /** @throws AppError; the reason of `signal`. */
  async function indexOf(folder: string, signal: AbortSignal): Promise<readonly IndexLine[]> {
    const address = folder === "" ? root : addressOf(folder);
    if (!address) throw unreadable(folder, "its path is not one below the root");
    if (!address.pathname.endsWith("/")) address.pathname += "/";
    const headers = { accept: "text/html, application/json;q=0.9" };
    const request = { method: "GET", url: address.href, headers, limits: LISTING_LIMITS, signal } as const;
    const answer = await fetchWhole(fetch, request, clock);
    const base = new URL(answer.url);
    if (answer.status !== 200) throw unreadable(folder, `the server answers with status ${answer.status}`);
    if (base.href !== address.href) throw unreadable(folder, "the server leads elsewhere");
    const mediaType = answer.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
    const text = answer.body.toString("utf8");
    const lines = mediaType === "application/json" ? linesOfJson(text, base) : undefined;
    if (lines) return lines;
    if (mediaType !== "text/html" && mediaType !== "application/xhtml+xml")
      throw unreadable(folder, "the server has no index of it");
    return linesOfHtml(text, base);
  }

  async function* list(
    folder: string,
    lines: readonly IndexLine[],
    hidden: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Listing> {
    const below = belowFolder(folder, lines, folder === "" ? root : new URL(`${addressOf(folder)}/`));
    const wanted = [...below.values()].filter(({ name }) => hidden || !name.startsWith("."));
    let entries: SourceEntry[] = [];
    let problems: Problem[] = [];
    const found = mapInOrder(wanted, HEADS_AT_ONCE, (one) => examine(one, signal));
    for await (const one of found) {
      entries.push(...one.entries);
      problems.push(...one.problems);
      if (entries.length + problems.length < ENTRIES_AT_ONCE) continue;
      yield { folder, entries, problems, isLast: false };
      [entries, problems] = [[], []];
    }
    yield { folder, entries, problems, isLast: true };
  }

  async function examine({ path, name, isFolder, line }: Named, signal: AbortSignal): Promise<Found> {
    const entry = { path, sizeBytes: 0, modifiedAt: line.modifiedAt ?? null, mode: null };
    if (line.isLink) return { entries: [{ ...entry, kind: "link" }], problems: [] };
    if (name.includes("/") || name.includes("\0") || name.includes("\uFFFD")) {
      const hint = name.includes("\uFFFD") ? "its name is not UTF-8" : "its name cannot be that of a file";
      return { entries: [], problems: [problem("entry_unreadable", { path, hint })] };
    }
    if (isFolder) return { entries: [{ ...entry, kind: "folder" }], problems: [] };
    const { sizeBytes } = line;
    if (sizeBytes !== undefined && line.modifiedAt !== undefined)
      return { entries: [{ ...entry, kind: "file", sizeBytes }], problems: [] };
    try {
      const { status, headers, body } = await fetch({
        method: "HEAD",
        url: line.url.href,
        limits: LISTING_LIMITS,
        signal,
      });
      body.on("error", () => undefined).destroy();
      if (status !== 200) throw unreadable(path, `the server answers with status ${status}`);
      const size = headers["content-encoding"] === undefined ? Number(headers["content-length"]) : Number.NaN;
      const modifiedAt = Date.parse(headers["last-modified"] ?? "");
      return {
        entries: [
          {
            ...entry,
            kind: "file",
            sizeBytes: Number.isSafeInteger(size) && size >= 0 ? size : (sizeBytes ?? 0),
            modifiedAt: Number.isNaN(modifiedAt) ? entry.modifiedAt : modifiedAt,
          },
        ],
        problems: [],
      };
    } catch (error) {
      signal.throwIfAborted();
      return { entries: [], problems: [problemOf(error, path)] };
    }
  }

  /** What a folder that cannot be listed is: a problem of its own, unless the whole store is at fault. */
  async function judge(error: unknown, folder: string, signal: AbortSignal): Promise<Problem> {
    signal.throwIfAborted();
    if (!(error instanceof AppError)) throw error;
    let cause = folder === "" ? error : undefined;
    if (folder !== "" && error.code === "remote_unavailable") {
      const request = { method: "HEAD", url: root.href, limits: LISTING_LIMITS, signal } as const;
      const asked = await fetch(request).catch((failure: unknown) => failure);
      signal.throwIfAborted();
      if (!(asked instanceof Error)) (asked as FetchAnswer).body.on("error", () => undefined).destroy();
      else if (asked instanceof AppError) cause = asked;
      else throw asked;
    }
    if (cause === undefined) return problemOf(error, folder);
    if (cause.code === "fetch_refused") throw cause;
    throw new AppError("endpoint_unreachable", { ...cause.details, reason: cause.message }, { cause });
  }

  return {
    async *walk({ folders, hidden, isDone, signal: asked }) {
      const signal = AbortSignal.any([asked, closing.signal]);
      const queue = folderQueue(folders, isDone);
      /** Digests of what the folders above have, for each folder that waits. */
      const above = new Map<string, readonly string[]>();
      for (let [folder] = queue.take(1); folder !== undefined; [folder] = queue.take(1)) {
        signal.throwIfAborted();
        const parents = above.get(folder) ?? [];
        above.delete(folder);
        try {
          const lines = await indexOf(folder, signal);
          const seen = createHash("sha256");
          const subfolders: string[] = [];
          let isTelling = false;
          for await (const listing of list(folder, lines, hidden, signal)) {
            for (const { kind, path, sizeBytes, modifiedAt } of listing.entries) {
              if (kind === "folder") subfolders.push(path);
              isTelling ||= kind === "file" && modifiedAt !== null;
              seen.update(JSON.stringify([nameOf(path), kind, sizeBytes, modifiedAt]));
            }
            const digest = listing.isLast && isTelling ? seen.digest("base64") : undefined;
            const isLoop = digest !== undefined && parents.includes(digest);
            const isDeep = subfolders.length > 0 && folder.split("/").length >= DEEPEST;
            if (listing.isLast && !isLoop && !isDeep) {
              for (const path of subfolders) {
                queue.add(path);
                above.set(path, digest === undefined ? parents : [...parents, digest]);
              }
            }
            signal.throwIfAborted();
            const hint = isLoop ? "it is the same as a folder above it" : "it is too deep to be walked further";
            const more =
              (isLoop || isDeep) && listing.isLast ? [problem("entry_unreadable", { path: folder, hint })] : [];
            yield { ...listing, problems: [...listing.problems, ...more] };
          }
        } catch (error) {
          const entry = await judge(error, folder, signal);
          yield { folder, entries: [], problems: [entry], isLast: true };
        }
      }
    },

    async open(path, range) {
      const address = addressOf(path);
      if (!address) throw new AppError("object_missing", { path });
      const headers = range ? { range: `bytes=${range.start}-${range.end ?? ""}` } : {};
      const answer = await fetch({
        method: "GET",
        url: address.href,
        headers,
        limits: FILE_LIMITS,
        signal: closing.signal,
      });
      const { status, body } = answer;
      const isFile = (status === 200 || status === 206) && !answer.url.endsWith("/") && isBelow(new URL(answer.url));
      if (isFile) return status === 206 || !range ? body : part(answer, range, path);
      body.on("error", () => undefined).destroy();
      const sizeBytes = Number(/^bytes \*\/(\d+)$/.exec(answer.headers["content-range"] ?? "")?.[1]);
      if (status === 416 && range && range.start === sizeBytes) return Readable.from([]);
      if (status === 416 && range)
        throw new AppError("range_not_satisfiable", { path, start: range.start, sizeBytes: sizeBytes || 0 });
      if (status >= 500) throw new AppError("remote_refused", { path, found: status });
      throw new AppError("object_missing", { path, status });
    },

    async close() {
      closing.abort(new AppError("remote_unavailable", { reason: "the store was closed" }));
    },
  };
}

interface Named {
  readonly path: string;
  readonly name: string;
  readonly isFolder: boolean;
  readonly line: IndexLine;
}

/** What lies directly below the folder, by path: some indexes have two links to one file, most have one to the folder above. */
function belowFolder(folder: string, lines: readonly IndexLine[], address: URL): ReadonlyMap<string, Named> {
  const found = new Map<string, Named>();
  for (const line of lines) {
    const { origin, pathname, search } = line.url;
    if (origin !== address.origin || !pathname.startsWith(address.pathname) || search !== "") continue;
    const [encoded = "", more] = pathname.slice(address.pathname.length).split("/", 2);
    const isFolder = pathname.endsWith("/");
    if (encoded === "" || (more !== undefined && more !== "")) continue;
    const name = decoded(encoded);
    const path = folder === "" ? name : `${folder}/${name}`;
    if (!found.has(path)) found.set(path, { path, name, isFolder, line });
  }
  return found;
}

/** With U+FFFD for bytes that are not UTF-8. */
function decoded(encoded: string): string {
  const bytes = encoded.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

/** What is asked for of a file whose server knows no ranges. */
async function part({ headers, body }: FetchAnswer, range: ByteRange, path: string): Promise<Readable> {
  const sizeBytes = headers["content-encoding"] === undefined ? Number(headers["content-length"]) : Number.NaN;
  try {
    const known = Number.isSafeInteger(sizeBytes) ? sizeBytes : Number.MAX_SAFE_INTEGER;
    const { start, end } = rangeWithin(range, known, path);
    return Readable.from(slice(body, start, end), { objectMode: false });
  } catch (error) {
    body.on("error", () => undefined).destroy();
    throw error;
  }
}

async function* slice(body: Readable, start: number, end: number): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    const wanted = chunk.subarray(Math.max(0, start - at), Math.max(0, end - at));
    at += chunk.length;
    if (wanted.length > 0) yield wanted;
    if (at >= end) return;
  }
}

function unreadable(path: string, hint: string): AppError {
  return new AppError("entry_unreadable", { path, hint });
}

function problemOf(error: unknown, path: string): Problem {
  if (!(error instanceof AppError)) throw error;
  const { hint } = error.details;
  return problem("entry_unreadable", { path, hint: typeof hint === "string" ? hint : error.message });
}
