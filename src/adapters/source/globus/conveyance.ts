import type { Conveyance, Freight, Outcome } from "../../../core/crawl/offload/conveyance.ts";
import type { SourceEntry } from "../../../core/crawl/source.ts";
import { AppError, type Problem, problem } from "../../../core/errors.ts";
import { eachAtOnce } from "../../../core/streams.ts";
import type { GlobusApi } from "./api.ts";
import { factsOf, type GlobusPlace, isAbsent, pathsBelow } from "./source.ts";

/** The journal of a move names so many at once: some hundred KiB. */
const FILES_AT_ONCE = 2_000;
const LISTINGS_AT_ONCE = 4;

export interface GlobusConveyanceParts {
  readonly api: GlobusApi;
  readonly source: GlobusPlace;
  readonly target: GlobusPlace;
  /** Of tasks. */
  readonly label: string;
}

/**
 * From one Globus collection to another: files travel as tasks, which compare checksums at both ends, and are proven when
 * their task has succeeded and the target lists them with their sizes. A file is removed while the source lists it with the
 * size and time it had before. Folders that become empty stay.
 */
export function globusConveyance({ api, source, target, label }: GlobusConveyanceParts): Conveyance {
  const from = pathsBelow(source);
  const to = pathsBelow(target);
  /** What lies at the target is then our own, as far as it is the same. */
  let isContinued = false;

  /** What folders hold of these files, as it is now. */
  async function listed(
    { collection }: GlobusPlace,
    paths: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Found>> {
    const wanted = new Set(paths);
    const found = new Map<string, Found>();
    await eachAtOnce(
      new Set(paths.map(folderOf)),
      () => LISTINGS_AT_ONCE,
      async (folder, failed) => {
        const stop = AbortSignal.any([signal, failed]);
        for (let offset = 0, isLast = false; !isLast; ) {
          const page = await api.list(collection, folder, offset, stop).catch(nothingWhenAbsent);
          for (const file of page.files) {
            const path = `${folder}${file.name}`;
            if (wanted.has(path)) found.set(path, factsOf(file));
          }
          offset += page.files.length;
          ({ isLast } = page);
        }
      },
    );
    return found;
  }

  return {
    filesAtOnce: FILES_AT_ONCE,

    async settle(signal) {
      isContinued = true;
      await api.settle(label, signal);
    },

    async copy(files, signal) {
      const places = files.map((file) => to(file.to));
      const before = await listed(target, places, signal);
      const isFree = ({ to: path, entry }: Freight) => {
        const there = before.get(to(path));
        return !there || (isContinued && there.kind === "file" && there.sizeBytes === entry.sizeBytes);
      };
      const sent = files.filter(isFree);
      const left =
        sent.length === 0
          ? new Map<string, string>()
          : await api.transfer(
              {
                source: source.collection,
                destination: target.collection,
                files: sent.map((file) => ({ from: from(file.entry.path), to: to(file.to) })),
                label,
                isContinued,
              },
              signal,
            );
      const after = await listed(target, places, signal);
      return files.map((file): Outcome => {
        const { path, sizeBytes } = file.entry;
        const there = after.get(to(file.to));
        if (!isFree(file)) return { problem: problem("target_occupied", { path }) };
        const reason = left.get(from(path));
        if (reason !== undefined) return { problem: problem("entry_unreadable", { path, hint: reason }) };
        if (there?.kind === "file" && there.sizeBytes === sizeBytes) return { proof: { sizeBytes, sha256: null } };
        return {
          problem: problem("copy_mismatch", { path, expected: sizeBytes, found: there?.sizeBytes ?? "nothing" }),
        };
      });
    },

    async remove(files, signal) {
      const now = await listed(
        source,
        files.map(({ file }) => from(file.entry.path)),
        signal,
      );
      const problems: Problem[] = [];
      const same: string[] = [];
      for (const { file } of files) {
        const there = now.get(from(file.entry.path));
        if (!there) continue;
        if (isSame(there, file.entry)) same.push(from(file.entry.path));
        else problems.push(problem("source_changed", { path: file.entry.path }));
      }
      if (same.length > 0) await api.remove(source.collection, same, label, signal);
      return problems;
    },

    /** See above. */
    async prune() {},

    async close() {},
  };
}

type Found = Pick<SourceEntry, "kind" | "sizeBytes" | "modifiedAt">;

const isSame = (one: Found, other: Found) =>
  one.kind === other.kind && one.sizeBytes === other.sizeBytes && one.modifiedAt === other.modifiedAt;

/** With the slash at its end. */
const folderOf = (path: string) => path.slice(0, path.lastIndexOf("/") + 1);

function nothingWhenAbsent(error: unknown) {
  if (error instanceof AppError && isAbsent(error)) return { files: [], isLast: true };
  throw error;
}
