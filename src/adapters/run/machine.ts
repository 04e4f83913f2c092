import { access, readFile, statfs } from "node:fs/promises";
import { availableParallelism, loadavg } from "node:os";
import type { Machine } from "../../core/schedules/conditions.ts";

/** The machine this process runs on. Windows knows no load: there it is 0. */
export const thisMachine: Machine = {
  load: () => (loadavg()[0] ?? 0) / availableParallelism(),

  async freeBytes(path) {
    const facts = await statfs(path).catch(unlessThere);
    return facts && facts.bavail * facts.bsize;
  },

  async isThere(path) {
    const found = await access(path).then(() => true, unlessThere);
    return found ?? false;
  },
};

/**
 * Linux has an id for each start of the machine. Elsewhere each start of this process counts as one.
 * @param otherwise differs with each start of this process.
 */
export async function bootId(otherwise: string): Promise<string> {
  const id = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(unlessThere);
  return id?.trim() || otherwise;
}

/** A place that cannot be come to is not there: its medium may have been taken out in the middle. */
function unlessThere(error: unknown): undefined {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (!["ENOENT", "ENOTDIR", "EACCES", "EIO", "ENODEV", "ESTALE", "ENOTCONN", "EHOSTDOWN"].includes(code)) throw error;
}
