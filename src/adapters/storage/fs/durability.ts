import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, open, rm } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { promisify } from "node:util";
import type { FsLayout } from "./layout.ts";
import { walkFiles } from "./read.ts";
import { FILE_MODE } from "./writer-protocol.ts";

/** fsync(2) of a file or a folder; a folder's makes the names in it durable. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Every folder from `root` down to `folder`, both included. */
export function foldersBetween(root: string, folder: string): readonly string[] {
  const below = relative(root, folder);
  if (below === "") return [root];
  const names = below.split(sep);
  return [root, ...names.map((_, i) => join(root, ...names.slice(0, i + 1)))];
}

/** The names from `root` down to an entry of `folder` survive a power cut, whoever made the folders between. */
export async function syncFolders(root: string, folder: string): Promise<void> {
  await Promise.all(foldersBetween(root, folder).map(syncPath));
}

/** Makes `folder` and those above it as needed; their names survive a power cut. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first) await syncFolders(dirname(first), dirname(folder));
}

/** Makes files of `folder` and every folder above them, up to `root`, durable. */
export async function syncFiles(root: string, folder: string, paths: Iterable<string>): Promise<void> {
  const files = Array.from(paths, (path) => join(folder, path));
  const folders = new Set([folder, ...files.map((file) => dirname(file))].flatMap((f) => foldersBetween(root, f)));
  await Promise.all([...files, ...folders].map(syncPath));
}

const run = promisify(execFile);

/**
 * Makes everything below `folder` durable, in one go where the system has syncfs(2). That tells of a failed write only
 * the first who asks for this disk, where fsync(2) tells everyone who asks for the file: `verify` finds what is left of it.
 */
export async function syncTree(root: string, folder: string): Promise<void> {
  if (process.platform === "linux") {
    // Any failure, be it a `sync` without `-f`, falls through to asking for each file, which reports its own failure.
    const synced = await run("sync", ["-f", folder]).then(
      () => true,
      () => false,
    );
    if (synced) return;
  }
  const batch: string[] = [];
  for await (const { path } of walkFiles(folder)) {
    batch.push(path);
    if (batch.length === 256) await syncFiles(root, folder, batch.splice(0));
  }
  await syncFiles(root, folder, batch);
}

/**
 * Writes a whole file under a temporary name and hands it to `place`, which gives it its final one.
 * @param durable whether the bytes must be on disk before they get their name.
 */
export async function writeAside(
  layout: FsLayout,
  bytes: Uint8Array | AsyncIterable<Uint8Array>,
  durable: boolean,
  place: (file: string) => Promise<void>,
): Promise<void> {
  await mkdir(layout.incoming, { recursive: true });
  const file = join(layout.incoming, `${process.pid}-${randomUUID()}`);
  try {
    const handle = await open(file, "wx", FILE_MODE);
    try {
      await handle.writeFile(bytes);
      if (durable) await handle.sync();
    } finally {
      await handle.close();
    }
    await place(file);
  } finally {
    await rm(file, { force: true });
  }
}
