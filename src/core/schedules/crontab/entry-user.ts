import { closest } from "./closest.ts";
import { type Finding, finding, type Position } from "./finding.ts";

/** Words that begin many commands. Some systems have users of these names, but none whose jobs these are. */
const COMMANDS = new Set(
  (
    "bash cat cd cp curl echo env export find flock ionice logger mail man mv nice node perl php printf python python3 " +
    "rm rsync run-parts sh sudo sync systemctl tar test timeout touch wget"
  ).split(" "),
);
/** Users that every Debian system has, and that own jobs. */
const USUAL_USERS = ["root", "www-data", "nobody", "daemon"];
/** What useradd(8) of Debian takes, at most 32 characters. */
const USER_NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,30}[A-Za-z0-9_.$-]?$/;

const EXPECTED = "a user of this machine";

/**
 * The sixth column of a system crontab.
 * @param users of the machine, when the caller knows them: a name that is not among them is refused, as cron does.
 */
export function checkUser(user: string, at: Position, users: readonly string[] | undefined): readonly Finding[] {
  const what = { field: "user", value: user, expected: EXPECTED };
  if (user === "") {
    const hint = "In a system crontab a user and a command follow the five fields.";
    return [finding("error", "user_missing", at, what, "is missing", hint)];
  }
  if (!USER_NAME.test(user) || COMMANDS.has(user)) {
    const hint = /^[*\d][-\d*,/]*$/.test(user)
      ? "Five fields say when; cron has no seconds and no years."
      : "In a system crontab the user who runs the command stands before it.";
    return [finding("error", "user_missing", at, what, "is not a user's name", hint)];
  }
  if (users === undefined || users.includes(user)) return [];
  const meant = closest(user, users);
  const hint = meant === undefined ? "Or is the user missing before the command?" : `Did you mean "${meant}"?`;
  return [finding("error", "user_unknown", at, what, "is not known on this machine", hint)];
}

/** A user's own crontab has no such column: cron would run a program of that name. */
export function checkNoUser(command: string, at: Position, users: readonly string[] = []): readonly Finding[] {
  const [, word = ""] = /^([^ \t]+)[ \t]+[^ \t]/.exec(command) ?? [];
  if (COMMANDS.has(word) || ![...USUAL_USERS, ...users].includes(word)) return [];
  const what = { field: "command", value: word, expected: "a command" };
  const hint = "Only a system crontab names the user; leave it out, or read the file as a system crontab.";
  return [finding("warning", "user_unexpected", at, what, "is a user, and would be run as a program", hint)];
}
