import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  unlink,
} from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { INCOMING_FOLDER, type SmallFile, type Target } from "../../core/crawl/target.ts";
import { factsOfStream, type StreamFacts } from "../../core/digest.ts";
import { AppError } from "../../core/errors.ts";
import { eachAtOnce } from "../../core/streams.ts";
import { makeFolder, syncPath } from "../storage/fs/durability.ts";
import { ABSENT, ignoring, storageError, systemCode } from "../storage/fs/errors.ts";

/** What lies there for so long was left by a process that died. */
const ABANDONED_MS = 24 * 60 * 60 * 1_000;
/** The journal of the file system takes up those that ask together. */
const WRITES_AT_ONCE = 16;
const FILE_MODE = 0o644;
const OPEN_TRIES = 100;

const absent = ignoring(...ABSENT);

/** Something else is in the way of the path. */
const IN_THE_WAY: readonly string[] = ["EISDIR", "ENOTDIR", "EEXIST", "ENOTEMPTY", "ENAMETOOLONG"];

/**
 * Files in a folder of this machine, which is made when it is not there. It may be a link; below it, nothing is written,
 * read or removed through one.
 */
export function fsTarget({ root }: { readonly root: string }): Target {
  const top = resolve(root);
  const incoming = join(top, INCOMING_FOLDER);
  let prepared: Promise<void> | undefined;

  /** @throws AppError request_invalid for what is not plainly below the root. */
  function placeOf(path: string): string {
    const isPlain = path.split("/").every((part) => !["", ".", "..", INCOMING_FOLDER].includes(part));
    if (!isPlain || path.includes("\0"))
      throw new AppError("request_invalid", { expected: "a path below the folder", found: path.slice(0, 100) });
    return join(top, path);
  }

  async function prepare(): Promise<void> {
    const names = (await readdir(incoming).catch(absent)) ?? [];
    for (const name of names) {
      const file = join(incoming, name);
      const [found, folder] = await Promise.all([stat(file).catch(absent), stat(incoming).catch(absent)]);
      // The file system's own times: both are its clock's.
      if (found && folder && folder.mtimeMs - found.mtimeMs > ABANDONED_MS) await rm(file, { force: true });
    }
  }

  async function folderFor(path: string): Promise<string> {
    const folder = dirname(placeOf(path));
    await makeFolder(top);
    // Also what is not there yet is not made behind a link.
    await requireOwn(top, await nearest(folder), path);
    await makeFolder(folder);
    return folder;
  }

  /** Somebody may have tidied up, or ended another target of this root, also between the two steps. */
  async function openAside(aside: string): Promise<FileHandle> {
    for (let tries = 1; ; tries++) {
      const file = await mkdir(incoming, { recursive: true })
        .then(() => open(aside, "wx", FILE_MODE))
        .catch(ignoring(...(tries < OPEN_TRIES ? ["ENOENT"] : [])));
      if (file) return file;
    }
  }

  /** Writes under a temporary name, durably. @returns that name, and what was written. */
  async function writeAside<T>(write: (file: FileHandle) => Promise<T>): Promise<[string, T]> {
    prepared ??= prepare();
    await prepared;
    const aside = join(incoming, `${process.pid}-${randomUUID()}`);
    const file = await openAside(aside);
    try {
      const written = await write(file);
      await file.sync();
      return [aside, written];
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    } finally {
      await file.close();
    }
  }

  async function place(aside: string, path: string): Promise<void> {
    try {
      await rename(aside, placeOf(path));
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
  }

  /** Up to the root. */
  async function removeEmpty(folder: string): Promise<void> {
    for (let next = folder; next !== top; next = dirname(next)) {
      const gone = await rmdir(next).then(() => true, ignoring("ENOTEMPTY", "EEXIST", ...ABSENT));
      if (!gone) return;
    }
  }

  return {
    put: (path, bytes, signal) =>
      refusals(path, async () => {
        const folder = await folderFor(path);
        const [aside, facts] = await writeAside((file) =>
          factsOfStream(
            copied(bytes, (chunk) => file.writeFile(chunk)),
            ["sha256"],
            signal,
          ),
        );
        await place(aside, path);
        await syncPath(folder);
        return facts;
      }),

    async putAll(files, signal) {
      const folders = new Set<string>();
      await eachAtOnce(
        files,
        () => WRITES_AT_ONCE,
        ({ path, bytes }: SmallFile) =>
          refusals(path, async () => {
            signal.throwIfAborted();
            const folder = dirname(placeOf(path));
            if (!folders.has(folder)) folders.add(await folderFor(path));
            const [aside] = await writeAside((file) => file.writeFile(bytes));
            await place(aside, path);
          }),
      );
      for (const folder of folders) await syncPath(folder);
    },

    facts: (path, signal) =>
      refusals(path, async (): Promise<StreamFacts | undefined> => {
        const file = await open(placeOf(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
          absent,
        );
        if (!file) return undefined;
        try {
          await requireOwn(top, dirname(placeOf(path)), path);
          return await factsOfStream(file.createReadStream({ autoClose: false }), ["sha256"], signal);
        } finally {
          await file.close();
        }
      }),

    remove: (path) =>
      refusals(path, async () => {
        const folder = dirname(placeOf(path));
        if ((await stat(folder).catch(absent)) === undefined) return;
        await requireOwn(top, folder, path);
        await unlink(placeOf(path)).catch(absent);
        await removeEmpty(folder);
      }),

    prune: (folder) =>
      refusals(folder, async () => {
        let place = placeOf(folder);
        while (place !== top && (await stat(place).catch(absent)) === undefined) place = dirname(place);
        if (place === top) return;
        await requireOwn(top, place, folder);
        await removeEmpty(place);
      }),

    async close() {
      await rmdir(incoming).catch(ignoring("ENOTEMPTY", "EEXIST", ...ABSENT));
      prepared = undefined;
    },
  };
}

/**
 * Whether files may be written to a folder of a root, as far as it is there now.
 * @throws AppError endpoint_refused when a link leads elsewhere.
 */
export async function requireNoLink(root: string, path: string): Promise<void> {
  const top = resolve(root);
  if ((await stat(top).catch(absent)) === undefined) return;
  await refusals(path, async () => requireOwn(top, await nearest(join(top, path)), path));
}

/** What is there of a path: itself, or the first above it. */
async function nearest(path: string): Promise<string> {
  let above = path;
  while ((await lstat(above).catch(absent)) === undefined) above = dirname(above);
  return above;
}

/** @throws AppError endpoint_refused when a link leads elsewhere. */
async function requireOwn(top: string, folder: string, path: string): Promise<void> {
  const found = await realpath(folder).catch(absent);
  if (found !== join(await realpath(top), folder.slice(top.length))) throw refused(path);
}

function refused(path: string, options?: ErrorOptions): AppError {
  return new AppError(
    "endpoint_refused",
    { path, hint: "a link lies there or on the way, and none is followed" },
    options,
  );
}

async function* copied(
  bytes: AsyncIterable<Uint8Array>,
  write: (chunk: Uint8Array) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    await write(chunk);
    yield chunk;
  }
}

async function refusals<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const reason = systemCode(error) ?? "";
    if (reason === "ELOOP") throw refused(path, { cause: error });
    if (IN_THE_WAY.includes(reason)) throw new AppError("storage_unavailable", { path, reason }, { cause: error });
    throw storageError(error, path);
  }
}
