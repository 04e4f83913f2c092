import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { Readable } from "node:stream";
import type { Clock } from "../../../core/clock.ts";
import { beforeAbort } from "../../../core/crawl/before-abort.ts";
import { AppError } from "../../../core/errors.ts";
import { ABSENT, ignoring, storageError } from "../../storage/fs/errors.ts";
import type { GlobusApi } from "./api.ts";
import { togetherSoon } from "./together-soon.ts";

/** The Globus collection that shows a folder of this machine. */
export interface OwnCollection {
  readonly id: string;
  /** What it shows as its top. */
  readonly top: string;
  /** Below it, for files on their way. */
  readonly landing: string;
}

const FILES_AT_ONCE = 1_000;
/** Others that want files brought are waited for so long. */
const GATHER_MS = 50;
/** What lies there for so long was left by a process that died. */
const ABANDONED_MS = 7 * 24 * 3_600_000;
const LABEL = "longshore files on their way";

/**
 * Files on their way between a collection and this process, by way of a folder that our own collection shows. Those that are
 * wanted at the same time travel as one task, and tasks follow one another.
 */
export interface Landing {
  /** @param range `end` exclusive, not empty. @returns the bytes of a file, for the caller to close. @throws AppError object_missing. */
  bring(path: string, range: { readonly start: number; readonly end: number }): Promise<Readable>;
  /** Writes a file here, and sends it there, in place of an earlier one. */
  send<T>(path: string, write: (file: Awaited<ReturnType<typeof open>>) => Promise<T>, signal: AbortSignal): Promise<T>;
  /** Ends what is under way, and removes everything. */
  close(): Promise<void>;
}

export function globusLanding(api: GlobusApi, own: OwnCollection, collection: string, clock: Clock): Landing {
  const folder = join(own.landing, `${process.pid}-${randomUUID()}`);
  const closing = new AbortController();
  let prepared: Promise<void> | undefined;

  /** As our own collection has it. */
  const shown = (file: string) => `/${relative(own.top, file).split(sep).join("/")}`;

  async function prepare(): Promise<void> {
    await mkdir(folder, { recursive: true });
    for (const name of await readdir(own.landing)) {
      const found = await stat(join(own.landing, name)).catch(ignoring(...ABSENT));
      if (found && clock.now() - found.mtimeMs > ABANDONED_MS)
        await rm(join(own.landing, name), { recursive: true, force: true });
    }
  }
  async function newFile(): Promise<string> {
    prepared ??= prepare();
    await prepared;
    return join(folder, randomUUID());
  }

  interface Move {
    readonly file: string;
    readonly path: string;
  }
  function transfers(from: string, to: string, item: (move: Move) => { readonly from: string; readonly to: string }) {
    return togetherSoon<Move, string | undefined>(clock, GATHER_MS, FILES_AT_ONCE, async (moves) => {
      const files = moves.map(item);
      const transfer = { source: from, destination: to, files, label: LABEL, isContinued: false };
      const left = await api.transfer(transfer, closing.signal);
      return files.map((one) => left.get(one.from));
    });
  }
  const brought = transfers(collection, own.id, ({ file, path }) => ({ from: path, to: shown(file) }));
  const sent = transfers(own.id, collection, ({ file, path }) => ({ from: shown(file), to: path }));

  return {
    async bring(path, { start, end }) {
      const file = await newFile();
      const reason = await brought({ file, path });
      if (reason !== undefined) throw new AppError("object_missing", { path, reason });
      const handle = await open(file);
      // Its bytes stay for as long as it is open.
      await rm(file);
      return handle.createReadStream({ start, end: end - 1 });
    },

    async send(path, write, signal) {
      const file = await newFile();
      try {
        const handle = await open(file, "wx");
        const written = await write(handle).finally(() => handle.close());
        signal.throwIfAborted();
        const reason = await beforeAbort(signal, sent({ file, path }));
        if (reason !== undefined) throw new AppError("storage_unavailable", { path, reason });
        return written;
      } catch (error) {
        throw storageError(error, path);
      } finally {
        await rm(file, { force: true });
      }
    },

    async close() {
      closing.abort(new AppError("remote_unavailable", { reason: "the store was closed" }));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
