import { constants, type FileHandle, link, open, opendir, readdir, readlink, rm, stat, statfs } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { AppError } from "../../core/errors.ts";
import type { PackageFiles, WorkFile, Workspace } from "../../core/packages/package-files.ts";
import { makeFolder, syncPath } from "../storage/fs/durability.ts";
import { ABSENT, ignoring, refusals, systemCode } from "../storage/fs/errors.ts";
import { openFile, sizeOf } from "../storage/fs/read.ts";

/** Hidden, so that whoever serves the folder to others does not serve what is not finished. */
const WORK = ".longshore";
const PIECE_BYTES = 1024 * 1024;
const absent = ignoring(...ABSENT);

/**
 * Packages in one folder, flat. They grow in a folder beside them, on the same file system, and get their name by a link:
 * it is there with all its bytes or not at all, and never instead of another.
 */
export function packageFolder({ root }: { readonly root: string }): PackageFiles {
  const store = resolve(root);
  const work = join(store, WORK);

  /** @throws AppError request_invalid for what is not one plain name. */
  function pathOf(folder: string, name: string): string {
    if (name === "" || name !== basename(name) || name.startsWith(".") || name.includes("\0"))
      throw new AppError("request_invalid", { expected: "the name of a file", found: name.slice(0, 100) });
    return join(folder, name);
  }

  return {
    async workspace(name) {
      return await refusals(() => openWorkspace(store, pathOf(work, name), pathOf));
    },

    async *workspaces() {
      for (const name of (await readdir(work).catch(absent)) ?? []) yield name;
    },

    async open(fileName, range) {
      const bytes = await openFile(pathOf(store, fileName), fileName, range);
      if (!bytes) throw new AppError("object_missing", { path: fileName });
      return bytes;
    },

    async stat(fileName) {
      const found = await stat(pathOf(store, fileName)).catch(absent);
      return found?.isFile() ? { sizeBytes: found.size, modifiedAt: Math.floor(found.mtimeMs) } : undefined;
    },

    async *list() {
      const folder = await opendir(store).catch(absent);
      for await (const entry of folder ?? []) {
        if (!entry.isFile() || entry.name.startsWith(".")) continue;
        const found = await stat(join(store, entry.name)).catch(absent);
        if (found) yield { fileName: entry.name, sizeBytes: found.size, modifiedAt: Math.floor(found.mtimeMs) };
      }
    },

    async *linked() {
      const folder = await opendir(store).catch(absent);
      for await (const entry of folder ?? []) {
        const target = entry.isSymbolicLink() ? await readlink(join(store, entry.name)).catch(absent) : undefined;
        if (target !== undefined && resolve(store, target) === join(store, basename(target))) yield basename(target);
      }
    },

    async remove(fileName) {
      await refusals(() => rm(pathOf(store, fileName), { force: true }));
    },

    async freeBytes() {
      const space = await statfs(store).catch(absent);
      return space && space.bavail * space.bsize;
    },
  };
}

async function openWorkspace(
  store: string,
  folder: string,
  pathOf: (folder: string, name: string) => string,
): Promise<Workspace> {
  await makeFolder(folder);
  return {
    async append(name, sizeBytes) {
      const path = pathOf(folder, name);
      const handle = await refusals(() => open(path, constants.O_RDWR | constants.O_CREAT, 0o644));
      try {
        const { size } = await handle.stat();
        // truncate(2) would make it longer, with zeros that nobody wrote.
        if (size < sizeBytes) throw new AppError("object_corrupt", { path: name, expected: sizeBytes, found: size });
        await refusals(() => handle.truncate(sizeBytes));
        return workFile(handle, sizeBytes);
      } catch (error) {
        await handle.close();
        throw error;
      }
    },
    sizeOf: (name) => sizeOf(pathOf(folder, name)),
    remove: (name) => refusals(() => rm(pathOf(folder, name), { force: true })),
    async publish(name, fileName) {
      const target = pathOf(store, fileName);
      await refusals(async () => {
        await syncPath(pathOf(folder, name));
        try {
          await link(pathOf(folder, name), target);
        } catch (error) {
          if (systemCode(error) === "EEXIST") throw new AppError("object_exists", { path: fileName });
          throw error;
        }
        await syncPath(store);
        await rm(folder, { recursive: true });
      });
    },
    discard: () => refusals(() => rm(folder, { recursive: true, force: true })),
  };
}

function workFile(handle: FileHandle, size: number): WorkFile {
  let sizeBytes = size;
  return {
    get sizeBytes() {
      return sizeBytes;
    },
    async write(...pieces) {
      for (let rest = pieces; rest.length > 0; ) {
        const { bytesWritten } = await refusals(() => handle.writev(rest, sizeBytes));
        sizeBytes += bytesWritten;
        rest = behind(rest, bytesWritten);
      }
    },
    async replace(position, bytes) {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await refusals(() => handle.write(bytes, done, bytes.length - done, position + done));
        done += bytesWritten;
      }
    },
    read: (from) => pieces(handle, from),
    sync: () => refusals(() => handle.datasync()),
    close: () => handle.close(),
  };
}

/** What is left of some pieces behind so many bytes of them. */
function behind(pieces: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let from = bytes;
  const at = pieces.findIndex(({ length }) => {
    if (from < length) return true;
    from -= length;
    return false;
  });
  const first = pieces[at];
  return first ? [first.subarray(from), ...pieces.slice(at + 1)] : [];
}

/** One piece is read while the other is used. */
async function* pieces(handle: FileHandle, from: number): AsyncGenerator<Uint8Array> {
  let [room, other] = [Buffer.allocUnsafeSlow(PIECE_BYTES), Buffer.allocUnsafeSlow(PIECE_BYTES)];
  let position = from;
  const read = (into: Buffer) => {
    const reading = handle.read(into, 0, PIECE_BYTES, position);
    reading.catch(() => undefined); // thrown when its turn comes
    return reading;
  };
  let reading = read(room);
  try {
    for (;;) {
      const { bytesRead } = await refusals(() => reading);
      if (bytesRead === 0) return;
      position += bytesRead;
      const bytes = room.subarray(0, bytesRead);
      [room, other] = [other, room];
      reading = read(room);
      yield bytes;
    }
  } finally {
    await reading.catch(() => undefined);
  }
}
