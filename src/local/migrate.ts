import type { Command } from "commander";
import type { MigrationNews } from "../adapters/db/migrate.ts";
import { systemClock } from "../adapters/system-clock.ts";
import { durationText } from "../cli/amounts.ts";
import { command, type JsonOption, withExamples } from "../cli/command.ts";
import type { Terminal } from "../cli/terminal.ts";
import { AppError } from "../core/errors.ts";
import { loadConfig } from "../settings/config.ts";

interface MigrateOptions extends JsonOption {
  readonly check?: true;
}

/** `longshore migrate`: makes the database of this machine's settings what this program needs. */
export function migrateCommand(terminal: Terminal): Command {
  const migrate = command("migrate", "Bring the database up to date with this version of Longshore.")
    .option("--check", "only say what would be done; exit code 4 when there is something")
    .action((options: MigrateOptions) => (options.check ? check(terminal, options) : run(terminal, options)));
  return withExamples(migrate, [
    ["longshore migrate", "before servers of a new version are started with LONGSHORE_MIGRATE=never"],
    ["longshore migrate --check", "what an upgrade would do to the database"],
  ]).addHelpText(
    "after",
    "\nServers of the version before may go on running. Of several that migrate at once, one works and the others wait.",
  );
}

async function check(terminal: Terminal, { json }: MigrateOptions): Promise<void> {
  const { databaseOf } = await import("../compose/foundation.ts");
  const { pendingSteps } = await import("../adapters/db/address.ts");
  const pending = await pendingSteps(databaseOf(loadConfig(process.env)));
  if (json) terminal.printJson({ pending });
  else for (const name of pending) terminal.print(`pending  ${name}`);
  if (pending.length > 0) throw new AppError("database_older", { pending: pending.length });
  if (!json) terminal.print("The database is up to date.");
}

async function run(terminal: Terminal, { json }: MigrateOptions): Promise<void> {
  const { openStores } = await import("../compose/foundation.ts");
  let applied = 0;
  const tell = (news: MigrationNews) => {
    if (news.type === "applied") applied++;
    if (json) terminal.printJson(news);
    else if (news.type === "applied") terminal.print(`applied  ${news.name}  ${durationText(news.durationMs)}`);
    else terminal.print("Another process is at it; waiting for it to end.");
  };
  // Opened as a server opens it: the queue's own tables are made, too.
  const config = { ...loadConfig(process.env), migrates: true };
  const stores = await openStores(config, systemClock, undefined, tell);
  await stores.close();
  if (!json && applied === 0) terminal.print("The database is up to date.");
}
