import { AppError } from "../../errors.ts";
import { type CommandLine, writeCommand } from "./command.ts";
import { type Assignment, writeAssignment } from "./environment.ts";
import { crontabInvalid } from "./finding.ts";
import type { Crontab, Dialect } from "./read.ts";
import { entriesOf, readCrontab } from "./read.ts";

/** An entry to be written; its times as a crontab says them. */
export interface NewEntry extends CommandLine {
  readonly expression: string;
  /** Wanted in the system dialect, and left out in the other. */
  readonly user?: string;
}

/** The text of a crontab that was read: the same one, to the byte. */
export function writeCrontab({ lines, endsWithNewline }: Crontab): string {
  const text = lines.map((line) => `${line.text}\n`).join("");
  return endsWithNewline ? text : text.slice(0, -1);
}

/**
 * One line, without its end, that `readCrontab` reads as this entry.
 * @throws AppError crontab_invalid when no line says it: a field is wrong, the command has several lines, or its input
 * does not end with a newline, which cron would add.
 */
export function writeEntry(entry: NewEntry, dialect: Dialect): string {
  const { expression, user = "" } = entry;
  const command = writeCommand(entry);
  if (command === undefined)
    throw new AppError("crontab_invalid", {
      command: entry.command,
      reason: "a crontab has no form for this command or its input",
    });
  const line = [expression, ...(dialect === "system" ? [user] : []), command].join(" ");
  const { crontab, problems } = readCrontab(`${line}\n`, { dialect });
  const read = crontab === undefined ? undefined : entriesOf(crontab)[0];
  const same = read?.expression === expression && read.command === entry.command && read.stdin === entry.stdin;
  if (!same || (dialect === "system" && read.user !== user)) throw crontabInvalid(problems);
  return line;
}

/**
 * One line, without its end, that sets the variable for the entries below it.
 * @throws AppError crontab_invalid when no line says it: the value has several lines, or needs quotes of both kinds.
 */
export function writeVariable(assignment: Assignment): string {
  const line = writeAssignment(assignment);
  if (line === undefined)
    throw new AppError("crontab_invalid", {
      variable: assignment.name,
      reason: "a crontab has no form for this value",
    });
  return line;
}

/**
 * A comment, as lines without their ends; each line of the text is one.
 */
export function writeComment(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => `# ${line}`.trimEnd())
    .join("\n");
}
