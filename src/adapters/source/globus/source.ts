import { Readable } from "node:stream";
import type { Clock } from "../../../core/clock.ts";
import type { Listing, Source, SourceEntry } from "../../../core/crawl/source.ts";
import { AppError, type Problem, problem } from "../../../core/errors.ts";
import { rangeWithin } from "../../storage/byte-range.ts";
import { pagedWalk } from "../paged-walk.ts";
import { isPlainPath } from "../plain-path.ts";
import type { GlobusApi, GlobusFile } from "./api.ts";
import { globusLanding, type OwnCollection } from "./landing.ts";

/** A collection forgives few listings at once. */
const FOLDERS_AT_ONCE = 2;

export interface GlobusPlace {
  readonly collection: string;
  /** Begins with `/`, and ends without one, but for the top. */
  readonly folder: string;
}

export interface GlobusParts {
  readonly api: GlobusApi;
  readonly place: GlobusPlace;
  /** Without it, files are listed and cannot be read. */
  readonly own?: OwnCollection | undefined;
  readonly clock: Clock;
}

/** @returns a function from paths below the place to paths of its collection. */
export function pathsBelow({ folder }: GlobusPlace): (path: string) => string {
  const prefix = folder === "/" ? "" : folder;
  return (path) => (path === "" ? folder : `${prefix}/${path}`);
}

/**
 * A folder of a Globus collection. Links are told by what the listing says of their targets, and not followed. Globus has no
 * way to read a file: it is transferred to our own collection first, with others that are wanted at the same time.
 */
export function globusSource({ api, place, own, clock }: GlobusParts): Source {
  const { collection } = place;
  const pathOf = pathsBelow(place);
  const landing = own && globusLanding(api, own, collection, clock);
  const closing = new AbortController();

  type Page = Awaited<ReturnType<GlobusApi["list"]>>;

  async function page(folder: string, offset: number, signal: AbortSignal): Promise<Page | Problem> {
    try {
      return await api.list(collection, `${pathOf(folder).replace(/\/$/, "")}/`, offset, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof AppError) || error.code === "endpoint_refused") throw error;
      const { code, reason } = error.details;
      if (folder !== "" && error.code === "remote_refused")
        return problem("entry_unreadable", { path: folder, hint: String(code || reason) });
      throw new AppError("endpoint_unreachable", { ...error.details }, { cause: error });
    }
  }

  async function* list(
    folder: string,
    first: Page | Problem,
    hidden: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Listing> {
    let offset = 0;
    for (let found = first; ; found = await page(folder, offset, signal)) {
      if ("code" in found) return yield { folder, entries: [], problems: [found], isLast: true };
      offset += found.files.length;
      yield { folder, ...entriesOf(found.files, folder, hidden), isLast: found.isLast };
      if (found.isLast) return;
    }
  }

  return {
    walk: (asked) =>
      pagedWalk(
        {
          asked,
          foldersAtOnce: FOLDERS_AT_ONCE,
          firstPage: (folder, signal) => page(folder, 0, signal),
          listings: (folder, first, signal) => list(folder, first, asked.hidden, signal),
        },
        closing.signal,
      ),

    async open(path, range) {
      if (!isPlainPath(path)) throw new AppError("object_missing", { path });
      if (!landing)
        throw new AppError("endpoint_refused", {
          path,
          hint: "LONGSHORE_GLOBUS_COLLECTION is not set: files come by it",
        });
      const found = await statOf(api, place, path, closing.signal);
      if (found?.type !== "file") throw new AppError("object_missing", { path });
      const { start, end } = rangeWithin(range, found.size ?? 0, path);
      return start === end ? Readable.from([]) : landing.bring(pathOf(path), { start, end });
    },

    async close() {
      closing.abort(new AppError("remote_unavailable", { reason: "the store was closed" }));
      await landing?.close();
    },
  };
}

/** `undefined` for what is not there. */
export async function statOf(
  api: GlobusApi,
  place: GlobusPlace,
  path: string,
  signal: AbortSignal,
): Promise<GlobusFile | undefined> {
  try {
    return await api.stat(place.collection, pathsBelow(place)(path), signal);
  } catch (error) {
    if (error instanceof AppError && isAbsent(error)) return undefined;
    throw error;
  }
}

/** Globus says `NotFound` or `NotDirectory`, alone or behind what could not be done. */
export function isAbsent({ code, details }: AppError): boolean {
  return code === "remote_refused" && /(^|\.)Not(Found|Directory)$/.test(String(details.code));
}

function entriesOf(files: readonly GlobusFile[], folder: string, hidden: boolean) {
  const entries: SourceEntry[] = [];
  const problems: Problem[] = [];
  for (const file of files) {
    const { name } = file;
    if (!hidden && name.startsWith(".")) continue;
    const path = folder === "" ? name : `${folder}/${name}`;
    const isName = isPlainPath(name) && !name.includes("/");
    // "… decoded as latin-1 and prefixed with Unicode character U+FFFD"
    if (name.startsWith("\uFFFD")) problems.push(problem("entry_unreadable", { path, hint: "its name is not UTF-8" }));
    else if (!isName) problems.push(problem("entry_unreadable", { path, hint: "its name cannot be that of a file" }));
    else entries.push({ path, ...factsOf(file), mode: null });
    if (isName && kindOf(file) === "other")
      problems.push(problem("entry_unreadable", { path, hint: `it is no file but ${file.type}` }));
  }
  return { entries, problems };
}

/** What a listing says of a file. */
export function factsOf(file: GlobusFile): Pick<SourceEntry, "kind" | "sizeBytes" | "modifiedAt"> {
  const kind = kindOf(file);
  const modifiedAt = Date.parse((file.last_modified ?? "").replace(" ", "T"));
  return {
    kind,
    sizeBytes: kind === "file" ? (file.size ?? 0) : 0,
    modifiedAt: Number.isNaN(modifiedAt) ? null : modifiedAt,
  };
}

function kindOf({ type, link_target: target }: GlobusFile): SourceEntry["kind"] {
  if (typeof target === "string" || type === "invalid_symlink") return "link";
  if (type === "dir") return "folder";
  return type === "file" ? "file" : "other";
}
