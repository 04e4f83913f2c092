import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { Command } from "commander";
import { type DatabaseAddress, databaseAddress, isInUse, openSide, pendingSteps } from "../adapters/db/address.ts";
import type { TableCopy } from "../adapters/db/copy.ts";
import { openPostgres, openSqlite, type Stores } from "../adapters/db/stores.ts";
import { systemClock } from "../adapters/system-clock.ts";
import { countText } from "../cli/amounts.ts";
import { type CliContext, command, commandGroup, type JsonOption, withExamples } from "../cli/command.ts";
import { AppError } from "../core/errors.ts";
import type { Job } from "../core/jobs/job.ts";

interface CopyOptions extends JsonOption {
  readonly from: string;
  readonly to: string;
}

/** Jobs that are put into the copy's queue at a time. */
const PAGE = 500;

/** `longshore db`: what is done with databases as a whole. */
export function databaseCommand(context: CliContext): Command {
  const copy = command("copy", "Copy a database into another, empty one, and compare the two.")
    .requiredOption("--from <address>", "the database to copy, sqlite:<path> or postgres://…")
    .requiredOption("--to <address>", "the database to copy into")
    .action((options: CopyOptions) => runCopy(context, options));
  withExamples(copy, [
    [
      "longshore db copy --from sqlite:data/longshore.sqlite --to postgres://longshore@db/longshore",
      "when one machine is not enough; stop servers and workers first",
    ],
    ["longshore db copy --from postgres://longshore@db/longshore --to sqlite:data/longshore.sqlite", "and back"],
  ]).addHelpText(
    "after",
    "\nNothing is there before all of it has been read back and compared. The search index is made anew by the next server.",
  );
  return commandGroup("db", "Move the database to another engine.", [copy]);
}

async function runCopy({ terminal }: CliContext, { from, to, json }: CopyOptions): Promise<void> {
  const [source, target] = [databaseAddress(from), databaseAddress(to)];
  await requireIdle(source, "from");
  await requireIdle(target, "to");
  if (source.dialect === "sqlite" && !existsSync(source.path))
    throw new AppError("database_unavailable", { reason: "there is no such file", option: "from" });
  const pending = await pendingSteps(source);
  if (pending.length > 0) throw new AppError("database_older", { pending: pending.join(", "), option: "from" });

  // Opened as a server opens it: that makes its tables and its queue.
  const stores = await openCopy(target);
  try {
    const tell = ({ table, rows, digest }: TableCopy) => {
      if (json) terminal.printJson({ type: "table", table, rows, digest });
      else terminal.print(`${table.padEnd(20)}  ${countText(rows, "row").padStart(18)}  ${digest.slice(0, 12)}`);
    };
    await copyRows(source, target, tell);
    const queued = await queueAnew(stores);
    if (json) terminal.printJson({ type: "copied", queued });
    else {
      terminal.print(`Copied, read back and compared. ${countText(queued, "job")} in the copy's queue.`);
      terminal.print("Not copied: the search index, which is made anew, and who was running.");
    }
  } finally {
    await stores.close();
  }
}

async function copyRows(
  source: DatabaseAddress,
  target: DatabaseAddress,
  tell: (copy: TableCopy) => void,
): Promise<void> {
  const { areEqual, copyDatabase } = await import("../adapters/db/copy.ts");
  const one = await openSide(source);
  const other = await openSide(target);
  try {
    await copyDatabase(one, other, tell);
  } catch (error) {
    // An earlier run may have ended between the last row and the last job in the queue.
    const isThere = error instanceof AppError && error.code === "database_not_empty" && (await areEqual(one, other));
    if (!isThere) throw error;
  } finally {
    await other.close();
    await one.close();
  }
}

async function requireIdle(address: DatabaseAddress, option: string): Promise<void> {
  if (await isInUse(address)) throw new AppError("database_in_use", { option, hint: "stop servers and workers first" });
}

async function openCopy(target: DatabaseAddress): Promise<Stores> {
  if (target.dialect === "postgres") return openPostgres({ url: target.url, clock: systemClock });
  await mkdir(dirname(target.path), { recursive: true });
  return openSqlite({ path: target.path, clock: systemClock });
}

/**
 * Queues are not copied: each database has its own. What waited, and what a worker held that is gone now, waits in the copy's;
 * what a request was feeding is found by the next worker as ever. @returns how many.
 */
async function queueAnew({ jobs }: Pick<Stores, "jobs">): Promise<number> {
  const isWaiting = ({ state, fedUntil }: Job) => state === "queued" || (state === "running" && fedUntil === null);
  let queued = 0;
  for (let last: Job | undefined; ; ) {
    const page = await jobs.list({ states: ["queued", "running"], limit: PAGE, ...(last && { beforeId: last.id }) });
    const now = systemClock.now();
    const waiting = page.filter(isWaiting);
    await Promise.all(waiting.map(({ id, state }) => jobs.update(id, [state], { state: "queued" }, now)));
    queued += waiting.length;
    last = page.at(-1);
    if (page.length < PAGE) return queued;
  }
}
