import { constants, type FileHandle, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../../core/errors.ts";
import type { PackageFiles, WorkFile, Workspace } from "../../core/packages/package-files.ts";
import { makeFolder } from "../storage/fs/durability.ts";
import { ABSENT, ignoring, refusals } from "../storage/fs/errors.ts";
import { sizeOf } from "../storage/fs/read.ts";
import { requireFileName } from "./package-names.ts";

const PIECE_BYTES = 1024 * 1024;
const absent = ignoring(...ABSENT);

/**
 * Packages that grow, each in a folder of its own below `root`.
 * @param publish makes the file at `path` visible under a name, durably and as a whole. @throws AppError object_exists.
 */
export function localWorkspaces(
  root: string,
  publish: (path: string, fileName: string) => Promise<void>,
): Pick<PackageFiles, "workspace" | "workspaces"> {
  return {
    async workspace(name) {
      const folder = join(root, requireFileName(name));
      return await refusals(() => openWorkspace(folder, publish));
    },
    async *workspaces() {
      for (const name of (await readdir(root).catch(absent)) ?? []) yield name;
    },
  };
}

async function openWorkspace(
  folder: string,
  publish: (path: string, fileName: string) => Promise<void>,
): Promise<Workspace> {
  const pathOf = (name: string) => join(folder, requireFileName(name));
  await makeFolder(folder);
  return {
    async append(name, sizeBytes) {
      const path = pathOf(name);
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
    sizeOf: (name) => sizeOf(pathOf(name)),
    remove: (name) => refusals(() => rm(pathOf(name), { force: true })),
    publish: (name, fileName) =>
      refusals(async () => {
        await publish(pathOf(name), requireFileName(fileName));
        await rm(folder, { recursive: true });
      }),
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
