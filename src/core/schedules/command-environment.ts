import type { Account } from "./command-runner.ts";
import type { Action } from "./schedule.ts";

/** What Debian's cron gives to every command; crontab(5). */
const SHELL = "/bin/sh";
const PATH = "/usr/bin:/bin";

/**
 * The whole environment of a command: cron's few variables, then those kept apart for schedules, then the schedule's own.
 * Who it runs as is not for them to say. `CRON_TZ` is the schedule's time zone, and no variable.
 */
export function commandEnvironment(
  account: Account,
  resolved: Readonly<Record<string, string>>,
  own: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const { CRON_TZ: _, ...declared } = own;
  return { SHELL, PATH, HOME: account.home, ...resolved, ...declared, LOGNAME: account.name, USER: account.name };
}

/** The program that is started, with its words. */
export function commandWords(
  action: Extract<Action, { readonly kind: "shell" | "program" }>,
  env: Readonly<Record<string, string>>,
): readonly string[] {
  return action.kind === "program" ? [action.file, ...action.args] : [env.SHELL ?? SHELL, "-c", action.command];
}

/** What a test run prints first: what the command is given, as cron would give it. Names only of what is kept apart. */
export function commandPreview(
  words: readonly string[],
  account: Account,
  env: Readonly<Record<string, string>>,
  hidden: readonly string[],
): string {
  const shown = Object.entries(env)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `#   ${name}=${hidden.includes(name) ? "(kept apart)" : value}`);
  return [
    "# A test: this is what the command is given. It has no terminal.",
    `# user: ${account.name}`,
    `# folder: ${env.HOME ?? account.home}`,
    `# program: ${words.map((word) => JSON.stringify(word)).join(" ")}`,
    "# environment:",
    ...shown,
    "",
    "",
  ].join("\n");
}
