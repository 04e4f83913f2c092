import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { systemClock } from "../adapters/system-clock.ts";
import { bytesText, countText, durationText } from "../cli/amounts.ts";
import { type CliContext, command, type JsonOption, withExamples } from "../cli/command.ts";
import { type RebuildOutcome, type Rebuilt, rebuildCatalogue } from "../core/archive/rebuild.ts";
import { AppError } from "../core/errors.ts";
import { type Config, loadConfig } from "../settings/config.ts";
import { SOFTWARE } from "../version.ts";

interface RebuildCommandOptions extends JsonOption {
  readonly dryRun?: true;
}

/** `longshore rebuild`: fills the database of this machine's settings from the archive. */
export function rebuildCommand(context: CliContext): Command {
  const rebuild = command("rebuild", "Enter what the archive holds into the database, ids and dates included.")
    .option("--dry-run", "only say what would be done")
    .action((options: RebuildCommandOptions) => runRebuild(context, options));
  return withExamples(rebuild, [
    ["longshore rebuild --dry-run", "what the database lacks, or says differently"],
    ["longshore rebuild", "after the database was lost; stop servers and workers first"],
  ]).addHelpText("after", "\nNothing is removed from the database, and it can be run again at any time.");
}

async function runRebuild({ terminal, interruptible }: CliContext, options: RebuildCommandOptions): Promise<void> {
  const dryRun = options.dryRun === true;
  const config = loadConfig(process.env);
  // A server that runs hands out ids while the archive's are not known yet, or still writes to a file that was deleted.
  if (!dryRun && (await isInUse(config)))
    throw new AppError("database_in_use", { hint: "stop servers and workers first" });
  // The other commands start without it.
  const { openFoundation, searchFolder, sharesSearch } = await import("../compose/foundation.ts");
  const foundation = await openFoundation(config, systemClock);
  try {
    const { archive, stores } = foundation;
    const { catalogue, jobs, sequences } = stores;
    const parts = { archive, catalogue, jobs, sequences, clock: systemClock, software: SOFTWARE };
    const startedAt = systemClock.now();
    const counts = new Map<RebuildOutcome, number>();
    let files = 0;
    let bytes = 0;
    for await (const done of rebuildCatalogue(parts, { dryRun, signal: interruptible() })) {
      counts.set(done.outcome, (counts.get(done.outcome) ?? 0) + 1);
      files += done.files;
      bytes += done.bytes;
      if (options.json) terminal.printJson({ type: "object", ...done });
      else for (const line of linesOf(done)) terminal.print(line);
      terminal.progress(`${countText(sum(counts), "object")}, ${countText(files, "file")}, ${bytesText(bytes)}`);
    }

    // The index may know crawls and records of the database that was lost; the next server fills a new one.
    if (!dryRun && counts.has("added")) {
      if (sharesSearch(config)) await stores.searchRebuilds.ask(systemClock.now());
      else await rm(searchFolder(config), { recursive: true, force: true });
    }
    const failed = (counts.get("unreadable") ?? 0) + (counts.get("refused") ?? 0);
    const tookMs = systemClock.now() - startedAt;
    if (options.json)
      terminal.printJson({ type: "summary", dryRun, ...Object.fromEntries(counts), files, bytes, tookMs });
    else {
      const parts = [...counts].map(([outcome, count]) => `${count} ${outcome}`);
      const amounts = `${countText(files, "file")}, ${bytesText(bytes)}`;
      terminal.print(
        `${dryRun ? "dry run" : "rebuilt"}  ${countText(sum(counts), "object")}, ${amounts} in ${durationText(tookMs)}: ${parts.join(", ") || "nothing there"}`,
      );
    }
    if (failed > 0) throw new AppError("rebuild_incomplete", { objects: failed });
  } finally {
    await foundation.close();
  }
}

async function isInUse({ databaseUrl, dataDir }: Config): Promise<boolean> {
  const { isPostgresInUse, isSqliteInUse } = await import("../adapters/db/in-use.ts");
  return databaseUrl === undefined ? isSqliteInUse(join(dataDir, "longshore.sqlite")) : isPostgresInUse(databaseUrl);
}

/** What changed or went wrong; what was known already is only counted. */
function linesOf({ outcome, path, transactionId, problems }: Rebuilt): readonly string[] {
  if (outcome === "known") return [];
  const about = transactionId === undefined ? path : `transaction ${transactionId}`;
  return [`${outcome.padEnd(10)}  ${about}`, ...problems.map(({ message }) => `${" ".repeat(12)}${message}`)];
}

function sum(counts: ReadonlyMap<RebuildOutcome, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}
