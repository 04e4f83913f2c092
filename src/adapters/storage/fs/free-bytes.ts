import { statfs } from "node:fs/promises";

/** What this process's user may still write where the folder lies. */
export async function freeBytesAt(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
