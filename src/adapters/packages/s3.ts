import { createReadStream } from "node:fs";
import { AppError } from "../../core/errors.ts";
import type { PackageFiles } from "../../core/packages/package-files.ts";
import type { S3Store } from "../s3/client.ts";
import { s3Objects } from "../s3/objects.ts";
import { sendObject } from "../s3/send.ts";
import { localWorkspaces } from "./local-workspaces.ts";
import { requireFileName } from "./package-names.ts";

const READ_BYTES = 1024 ** 2;

export interface S3PackageFilesParts {
  readonly store: S3Store;
  /** Folder of this machine in which packages grow. */
  readonly work: string;
}

/**
 * Packages as objects. They grow in a folder of the machine that makes them, as work files are appended to in small pieces and
 * changed in place, which objects cannot be: another machine that goes on with a job finds nothing of them and begins the
 * package anew. The name is there when the last part of the file is.
 */
export function s3PackageFiles({ store, work }: S3PackageFilesParts): PackageFiles {
  const objects = s3Objects(store);

  /** Not every service heeds a condition at the end of an upload in parts: so it is asked for before. */
  async function publish(path: string, fileName: string): Promise<void> {
    const isFree = (await objects.stat(fileName)) === undefined;
    const bytes = createReadStream(path, { highWaterMark: READ_BYTES });
    const isSent = isFree && (await sendObject(store, fileName, bytes, { onlyIf: "absent" })) !== undefined;
    if (!isSent) throw new AppError("object_exists", { path: fileName });
  }

  return {
    ...localWorkspaces(work, publish),
    stat: async (fileName) => objects.stat(requireFileName(fileName)),

    async open(fileName, range) {
      const bytes = await objects.open(requireFileName(fileName), range);
      if (!bytes) throw new AppError("object_missing", { path: fileName });
      return bytes;
    },

    async *list() {
      for await (const { path, sizeBytes, modifiedAt } of objects.list(""))
        if (!path.includes("/") && !path.startsWith(".")) yield { fileName: path, sizeBytes, modifiedAt };
    },

    /** There are no links among objects. */
    async *linked() {},

    async remove(fileName) {
      await objects.remove([requireFileName(fileName)]);
    },

    freeBytes: async () => undefined,
  };
}
