import { Command } from "commander";
import { auditCommand } from "./audit.ts";
import { cartCommand } from "./cart.ts";
import { ckanpackagerCommand } from "./ckanpackager.ts";
import type { CliContext } from "./command.ts";
import { crawlCommand } from "./crawl.ts";
import { dropCommand } from "./drop.ts";
import { envCommand } from "./env.ts";
import { eventsCommand } from "./events.ts";
import { extractCommand } from "./extract.ts";
import { type ExitCodes, reportFailure } from "./failure.ts";
import { fixityCommand } from "./fixity.ts";
import { getCommand } from "./get/get.ts";
import { jobsCommand } from "./jobs.ts";
import { nodesCommand } from "./nodes.ts";
import { offloadCommand } from "./offload.ts";
import { packageCommand } from "./package.ts";
import { putCommand } from "./put.ts";
import { registerCommand } from "./register.ts";
import { scheduleCommand } from "./schedule.ts";
import { queriesCommand, reindexCommand, searchCommand } from "./search.ts";
import { secretCommand } from "./secret.ts";
import { switchCommands } from "./switches.ts";
import type { Terminal } from "./terminal.ts";
import { transactionsCommand } from "./transactions.ts";

export interface ProgramParts {
  readonly version: string;
  readonly context: CliContext;
  /** Commands that work on this machine's own data, by the heading they are listed under. */
  readonly local: Readonly<Record<string, readonly Command[]>>;
}

/** The whole command line: the commands that talk to a server, and those it is given. */
export function longshoreProgram({ version, context, local }: ProgramParts): Command {
  const program = new Command("longshore")
    .description(
      "Moves research data between the people who make it, the archive that keeps it, and those who want it.",
    )
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .addHelpCommand(
      new Command("help").argument("[command]").description("Show help for a command.").helpGroup("Help:"),
    )
    .showSuggestionAfterError()
    .addHelpText(
      "after",
      "\nResults go to standard output, everything else to standard error. LONGSHORE_URL names the server (default\n" +
        "http://127.0.0.1:7700) and LONGSHORE_TOKEN the token; longshore config shows all settings.",
    );
  const groups = {
    "Deposit and fetch:": [putCommand(context), cartCommand(context), getCommand(context)],
    "Find:": [searchCommand(context), queriesCommand(context), reindexCommand(context)],
    "Pack resources of portals:": [packageCommand(context), ckanpackagerCommand(context)],
    "Know what stores hold:": [crawlCommand(context), extractCommand(context), offloadCommand(context)],
    "Have things done:": [scheduleCommand(context)],
    "Look and steer:": [
      jobsCommand(context),
      transactionsCommand(context),
      eventsCommand(context),
      fixityCommand(context),
      auditCommand(context),
      registerCommand(context),
      ...switchCommands(context),
      nodesCommand(context),
      dropCommand(context),
      envCommand(context),
      secretCommand(context),
    ],
    ...local,
  };
  for (const [heading, commands] of Object.entries(groups)) {
    program.commandsGroup(heading);
    for (const one of commands) program.addCommand(one);
  }
  return program;
}

/** Runs the command that `argv` asks for. @returns the exit code. */
export async function runProgram(
  program: Command,
  argv: readonly string[],
  terminal: Terminal,
  exits: ExitCodes,
): Promise<number> {
  for (const one of [program, ...descendants(program)])
    one.exitOverride().configureOutput({ outputError: () => undefined });
  try {
    await program.parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    return reportFailure(error, terminal, exits, argv.includes("--json"));
  }
}

export function descendants(program: Command): Command[] {
  return program.commands.flatMap((one) => [one, ...descendants(one)]);
}
