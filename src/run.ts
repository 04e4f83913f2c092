import { homedir } from "node:os";
import { join } from "node:path";
import type { CliContext } from "./cli/command.ts";
import { Interrupted } from "./cli/failure.ts";
import { longshoreProgram, runProgram } from "./cli/program.ts";
import { type Terminal, terminal } from "./cli/terminal.ts";
import { CODES, KINDS } from "./core/errors.ts";
import { databaseCommand } from "./local/db-copy.ts";
import { doctorCommand } from "./local/doctor.ts";
import { migrateCommand } from "./local/migrate.ts";
import { rebuildCommand } from "./local/rebuild.ts";
import { serveCommand } from "./local/serve.ts";
import { settingsCommand } from "./local/settings.ts";
import { tokenCommand } from "./local/token.ts";
import { verifyCommand } from "./local/verify.ts";
import { workerCommand } from "./local/worker.ts";
import { longshore } from "./sdk/index.ts";
import { loadConfig } from "./settings/config.ts";
import { VERSION } from "./version.ts";

/** Every command there is, on one program. */
export function program(context: CliContext) {
  return longshoreProgram({
    version: VERSION,
    context,
    local: {
      "Run a server:": [
        serveCommand(context.terminal),
        workerCommand(context.terminal),
        doctorCommand(context.terminal),
        settingsCommand(context.terminal),
        migrateCommand(context.terminal),
        databaseCommand(context),
        tokenCommand(context.terminal),
      ],
      "Keep the archive:": [verifyCommand(context), rebuildCommand(context)],
    },
  });
}

/** @returns the exit code. */
export function run(argv: readonly string[]): Promise<number> {
  // A reader that has seen enough, such as `head`, is no failure of ours.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(0);
  });
  const screen = terminal(process.stdout, process.stderr, () => performance.now());
  const exits = Object.fromEntries(Object.entries(CODES).map(([code, [kind]]) => [code, KINDS[kind].exit]));
  return runProgram(program(cliContext(screen)), argv, screen, exits);
}

function cliContext(screen: Terminal): CliContext {
  return {
    terminal: screen,
    server() {
      const { url, token } = loadConfig(process.env);
      return {
        url,
        client: longshore({ url, ...(token === undefined ? {} : { token }) }),
        withToken: token !== undefined,
      };
    },
    stateDir: join(process.env.XDG_STATE_HOME || join(homedir(), ".local", "state"), "longshore"),
    interruptible() {
      const interrupt = new AbortController();
      // The second Ctrl-C finds no listener and ends the process at once.
      for (const name of ["SIGINT", "SIGTERM"] as const)
        process.once(name, () => interrupt.abort(new Interrupted("Interrupted.")));
      return interrupt.signal;
    },
  };
}
