import { existsSync } from "node:fs";
import type { Command } from "commander";
import type { TableCopy } from "../adapters/db/copy.ts";
import { systemClock } from "../adapters/system-clock.ts";
import { countText } from "../cli/amounts.ts";
import { type CliContext, command, commandGroup, type JsonOption, withExamples } from "../cli/command.ts";
import { AppError } from "../core/errors.ts";

interface CopyOptions extends JsonOption {
  readonly from: string;
  readonly to: string;
}

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
  return withExamples(commandGroup("db", "Move the database to another engine.", [copy]), [
    [
      "longshore db copy --from sqlite:data/longshore.sqlite --to postgres://longshore@db.example.org/longshore",
      "when one machine is no longer enough",
    ],
  ]);
}

async function runCopy({ terminal }: CliContext, { from, to, json }: CopyOptions): Promise<void> {
  const { databaseAddress, isInUse, openSide, pendingSteps } = await import("../adapters/db/address.ts");
  const [source, target] = [databaseAddress(from), databaseAddress(to)];
  for (const [option, address] of Object.entries({ from: source, to: target }))
    if (await isInUse(address))
      throw new AppError("database_in_use", { option, hint: "stop servers and workers first" });
  if (source.dialect === "sqlite" && !existsSync(source.path))
    throw new AppError("database_unavailable", { reason: "there is no such file", option: "from" });
  const pending = await pendingSteps(source);
  if (pending.length > 0) throw new AppError("database_older", { pending: pending.join(", "), option: "from" });

  const { copyDatabase } = await import("../adapters/db/copy.ts");
  const { openCopyTarget } = await import("../adapters/db/copy-target.ts");
  const tell = ({ table, rows, digest }: TableCopy) => {
    if (json) terminal.printJson({ type: "table", table, rows, digest });
    else terminal.print(`${table.padEnd(20)}  ${countText(rows, "row").padStart(18)}  ${digest.slice(0, 12)}`);
  };
  const original = await openSide(source);
  try {
    const copy = await openCopyTarget(target, systemClock);
    try {
      const queued = await copyDatabase(original, copy, tell, copy.queueAll);
      if (json) terminal.printJson({ type: "copied", queued });
      else {
        terminal.print(`Copied, read back and compared. ${countText(queued, "job")} in the copy's queue.`);
        terminal.print("Not copied: the search index, which is made anew, and who was running.");
      }
    } finally {
      await copy.close();
    }
  } finally {
    await original.close();
  }
}
