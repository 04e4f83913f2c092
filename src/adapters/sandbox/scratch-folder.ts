import { mkdir, open, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../../core/errors.ts";
import type { Scratch, ScratchFile } from "../../core/extract/job/scratch.ts";
import { refusals } from "../storage/fs/errors.ts";

/** @param root made when it is needed; extractors have to be allowed to read it. */
export function scratchFolder({ root }: { readonly root: string }): Scratch {
  const discard = (name: string) => refusals(() => rm(join(root, name), { recursive: true, force: true }));

  return {
    discard,
    async open(name) {
      await discard(name);
      const folder = await refusals(async () => {
        await mkdir(join(root, name), { recursive: true, mode: 0o700 });
        return realpath(join(root, name));
      });
      let files = 0;
      return {
        put: (bytes, mostBytes) => write(join(folder, String(files++)), bytes, mostBytes),
        remove: async (put) => {
          await refusals(() => Promise.all(put.map(({ localPath }) => rm(localPath, { force: true }))));
        },
      };
    },
  };
}

async function write(localPath: string, bytes: AsyncIterable<Uint8Array>, mostBytes: number): Promise<ScratchFile> {
  const file = await refusals(() => open(localPath, "wx", 0o600));
  let sizeBytes = 0;
  try {
    for await (const chunk of bytes) {
      sizeBytes += chunk.length;
      if (sizeBytes > mostBytes) throw new AppError("entry_unreadable", { expected: mostBytes, hint: "it is larger" });
      await refusals(() => file.writeFile(chunk));
    }
  } catch (error) {
    await rm(localPath, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return { localPath, sizeBytes };
}
