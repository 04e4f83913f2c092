import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openSqlite } from "../../src/adapters/db/stores.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { Principal } from "../../src/core/access/access.ts";
import { AppError } from "../../src/core/errors.ts";
import { jobId } from "../../src/core/ids.ts";
import { declaredRegisters } from "../../src/core/registers/declared-registers.ts";
import { registerService } from "../../src/core/registers/registers.ts";

/*
 * A worker as scripts have them, until nothing is left: looks for what is requested, takes one by one, does its work (a file
 * named for the entry, which must not be there), and says that it is done. Arguments: database, folder, register, which of
 * how many workers it is.
 */
const [path = "", folder = "", register = "", own = "0", workers = "1"] = process.argv.slice(2);
const WORKER: Principal = { name: `worker-${own}`, scopes: ["operate"], via: "local" };
const PAGE = 50;

const stores = await openSqlite({ path, clock: systemClock });
const registers = registerService({
  store: stores.registers,
  declared: declaredRegisters({ store: stores.registers, clock: systemClock }),
  jobs: { cancel: () => Promise.reject(new Error("There are no jobs here.")) },
  clock: systemClock,
  mailFrom: "",
  nextJobId: async () => jobId(1),
});

async function turn(id: number, from: string, to: string): Promise<boolean> {
  try {
    await registers.change(WORKER, register, id, { from, to });
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === "entry_conflict") return false;
    // Seven others want to write as well, and one may have to wait for long.
    if (error instanceof AppError && error.retryable) return turn(id, from, to);
    throw error;
  }
}

for (;;) {
  // Each begins elsewhere, so that they meet seldom; but they do meet.
  const counts = await registers.counts(WORKER, register);
  const waiting = counts.Requested ?? 0;
  if (waiting === 0 && (counts.Taken ?? 0) === 0) break;
  const afterId = waiting > PAGE * 8 ? Math.floor(((Number(own) + 0.5) / Number(workers)) * 10_000) : 0;
  const found = await registers.entries(WORKER, register, { status: "Requested", afterId, limit: PAGE });
  const page =
    found.length > 0 ? found : await registers.entries(WORKER, register, { status: "Requested", limit: PAGE });
  for (const { id } of page) {
    if (!(await turn(id, "Requested", "Taken"))) continue;
    try {
      writeFileSync(join(folder, String(id)), "", { flag: "wx" });
    } catch (error) {
      // Another has died between its work and saying so.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      writeFileSync(join(folder, `${id} again by ${own}`), "");
    }
    await turn(id, "Taken", "Done");
  }
  if (page.length === 0) await systemClock.sleep(100);
}
await stores.close();
