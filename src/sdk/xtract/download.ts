import type { FilesApi } from "../archive.ts";
import { backoff } from "../backoff.ts";
import { LongshoreError } from "../errors.ts";
import type { ArchivedFile } from "../types.ts";

export interface DownloadedFile {
  readonly file_id: number;
  /** Where it is now; `null` when it could not be had. */
  readonly path: string | null;
  readonly size: number;
  readonly status: "OK" | "ERROR";
  /** `OK`, or what is wrong. */
  readonly message: string;
}

/** Of the digests that files have, those that are checked; the first that there is. */
const CHECKED = ["sha512", "sha256", "sha1"] as const;

/**
 * Fetches one archived file into a folder, under its path in the archive. It is there whole and checked, or not at all; a
 * connection that breaks is taken up where it broke.
 */
export async function downloadFile(files: FilesApi, id: number, folder: string): Promise<DownloadedFile> {
  try {
    const file = await files.get(id);
    const path = await save(files, file, folder);
    return { file_id: id, path, size: file.sizeBytes, status: "OK", message: "OK" };
  } catch (error) {
    if (!(error instanceof LongshoreError)) throw error;
    return { file_id: id, path: null, size: 0, status: "ERROR", message: error.message };
  }
}

async function save(files: FilesApi, file: ArchivedFile, folder: string): Promise<string> {
  const { mkdir, rename, rm } = await import("node:fs/promises");
  const { dirname, join } = await import("node:path");
  const parts = file.path.split("/");
  if (parts.some((part) => part === "" || part === "." || part === ".." || part.includes("\\")))
    throw new LongshoreError("local_file_unusable", `${file.path} is not a path for a file of this machine.`);
  const path = join(folder, ...parts);
  const partial = `${path}.part`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await receive(files, file, partial);
    await rename(partial, path);
    return path;
  } catch (cause) {
    await rm(partial, { force: true });
    if (cause instanceof LongshoreError || !(cause instanceof Error && "code" in cause)) throw cause;
    throw new LongshoreError("local_file_unusable", `${path} cannot be written: ${cause.message}.`, { cause });
  }
}

/** @throws LongshoreError digest_mismatch. */
async function receive(files: FilesApi, { id, path, sizeBytes, digests }: ArchivedFile, target: string): Promise<void> {
  const { open } = await import("node:fs/promises");
  const { createHash } = await import("node:crypto");
  const algorithm = CHECKED.find((name) => digests[name] !== undefined) ?? CHECKED[0];
  const retry = backoff();
  const handle = await open(target, "w");
  try {
    const hash = createHash(algorithm);
    for (let received = 0; received < sizeBytes; ) {
      try {
        const content = await files.content(id, { from: received });
        for await (const chunk of content.bytes) {
          await handle.writeFile(chunk);
          hash.update(chunk);
          received += chunk.length;
          retry.progressed();
        }
        if (received < sizeBytes) throw new LongshoreError("server_unavailable", `${path} came short.`);
      } catch (error) {
        await retry.pause(error);
      }
    }
    const found = hash.digest("hex");
    if (found !== digests[algorithm])
      throw new LongshoreError("digest_mismatch", `${path} is not what the archive has under this id.`, {
        details: { algorithm, expected: digests[algorithm], found },
      });
    await handle.sync();
  } finally {
    await handle.close();
  }
}
