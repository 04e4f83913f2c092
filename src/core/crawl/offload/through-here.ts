import { addAbortSignal } from "node:stream";
import { factsOfStream, type StreamFacts } from "../../digest.ts";
import { AppError, type Problem, problem } from "../../errors.ts";
import { mapInOrder } from "../../streams.ts";
import { beforeAbort } from "../before-abort.ts";
import type { Source } from "../source.ts";
import type { Target } from "../target.ts";
import type { Conveyance, Freight, Outcome, Proven } from "./conveyance.ts";

/** What the journal of a move names at once: some ten KiB. */
const FILES_AT_ONCE = 256;
/**
 * Of large files; of small ones eight times as many, for stores that are slow to answer, as Globus is, which brings as one
 * task what is wanted at once. From folder to folder it makes no difference (2,000 files of 4 KiB, five runs each, 2026-11).
 */
const COPIES_AT_ONCE = 8;
const LARGE_BYTES = 8 * 1024 ** 2;
const weigh = ({ entry }: Freight) => Math.min(1, Math.max(1 / 8, entry.sizeBytes / LARGE_BYTES));

export interface ThroughHereParts {
  readonly source: Pick<Source, "open">;
  readonly target: Target;
  /** The source, as a store that files may be removed from; a copy needs none. */
  readonly origin?: Target | undefined;
}

/**
 * Reads files here and writes them here. Each copy is read back, and size and SHA-256 compared with what was read; before a
 * file is removed, it is read once more, and must still be the same. Memory: a chunk for each file under way.
 */
export function throughHere({ source, target, origin }: ThroughHereParts): Conveyance {
  /** Throws {@link SourceFailure}, so that the one who writes is not blamed for it. */
  async function* bytesOf(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      const stream = await beforeAbort(signal, source.open(path), (late) => late.destroy());
      yield* addAbortSignal(signal, stream);
    } catch (error) {
      signal.throwIfAborted();
      throw new SourceFailure("The source does not give the file.", { cause: error });
    }
  }

  async function copy({ entry, to }: Freight, signal: AbortSignal): Promise<Outcome> {
    const { path } = entry;
    const earlier = await target.facts(to, signal);
    const bytes = bytesOf(path, signal);
    const read = earlier ? await factsOfStream(bytes, ["sha256"], signal) : await target.put(to, bytes, signal);
    const copied = earlier ?? (await target.facts(to, signal));
    const isCopied = copied !== undefined && isSame(copied, read);
    // A store that does not know sizes lists 0.
    const isAsListed = entry.sizeBytes === 0 || entry.sizeBytes === read.sizeBytes;
    if (isCopied && isAsListed) return { proof: { sizeBytes: read.sizeBytes, sha256: read.digests.sha256 ?? null } };
    if (earlier) return { problem: problem("target_occupied", { path, ...difference(read, earlier) }) };
    await target.remove(to);
    if (isCopied)
      return { problem: problem("source_changed", { path, expected: entry.sizeBytes, found: read.sizeBytes }) };
    return { problem: problem("copy_mismatch", { path, ...difference(read, copied) }) };
  }

  async function remove({ file, proof }: Proven, signal: AbortSignal): Promise<Problem | undefined> {
    const { path } = file.entry;
    if (!origin) throw new TypeError("Nothing is removed by a copy.");
    const found = await origin.facts(path, signal);
    if (!found) return undefined;
    if (found.sizeBytes !== proof.sizeBytes || found.digests.sha256 !== proof.sha256)
      return problem("source_changed", { path });
    signal.throwIfAborted();
    await origin.remove(path);
    return undefined;
  }

  return {
    filesAtOnce: FILES_AT_ONCE,

    /** Nothing is begun that outlives its process. */
    settle: async () => {},

    async copy(files, signal) {
      async function outcome(file: Freight): Promise<Outcome> {
        signal.throwIfAborted();
        try {
          return await copy(file, signal);
        } catch (error) {
          signal.throwIfAborted();
          return { problem: problemOf(error, file.entry.path) };
        }
      }
      return Array.fromAsync(mapInOrder(files, COPIES_AT_ONCE, outcome, weigh));
    },

    async remove(files, signal) {
      const removing = mapInOrder(
        files,
        COPIES_AT_ONCE,
        (one) => remove(one, signal),
        ({ file }) => weigh(file),
      );
      return (await Array.fromAsync(removing)).filter((one) => one !== undefined);
    },

    async prune(folders) {
      for (const folder of folders) await origin?.prune?.(folder);
    },

    async close() {
      await target.close();
      await origin?.close();
    },
  };
}

/** Tells what the source threw from what the target met. */
class SourceFailure extends Error {
  override readonly name = "SourceFailure";
}

/** What is wrong with one file alone. @throws everything else. */
function problemOf(error: unknown, path: string): Problem {
  if (error instanceof AppError && error.code === "request_invalid")
    return problem("target_occupied", { path, hint: "the target cannot have a file of this name" });
  // At the target a link lies in the way of this one.
  const isRefused = error instanceof AppError && error.code === "endpoint_refused";
  if (!isRefused && !(error instanceof SourceFailure)) throw error;
  const cause = isRefused ? error : error.cause;
  if (cause instanceof AppError) return { code: cause.code, path, message: cause.message };
  // Of the operating system, in the middle of a file.
  if (cause instanceof Error && "code" in cause) return problem("entry_unreadable", { path, hint: String(cause.code) });
  throw cause;
}

function isSame(one: StreamFacts, other: StreamFacts): boolean {
  return one.sizeBytes === other.sizeBytes && one.digests.sha256 === other.digests.sha256;
}

/** The sizes when they differ, else the digests. */
function difference(expected: StreamFacts, found: StreamFacts | undefined) {
  if (!found) return { expected: expected.sizeBytes, hint: "it is not there" };
  return expected.sizeBytes === found.sizeBytes
    ? { expected: expected.digests.sha256 ?? "", found: found.digests.sha256 ?? "" }
    : { expected: expected.sizeBytes, found: found.sizeBytes };
}
