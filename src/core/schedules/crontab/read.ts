import { isTimeZone } from "../timetable.ts";
import { readCommand } from "./command.ts";
import { checkNoUser, checkUser } from "./entry-user.ts";
import { type Assignment, assignmentHint, readAssignment } from "./environment.ts";
import { readExpression } from "./expression.ts";
import { errorsOf, type Finding, finding, further, type Position, warningsOf } from "./finding.ts";
import { lintCommand, lintTogether, type WrittenCommand } from "./lint.ts";

/** `system`: `/etc/crontab` and the files of `/etc/cron.d`, with a user before the command. `user`: what `crontab -e` edits. */
export type Dialect = "user" | "system";

interface Line {
  /** From 1. */
  readonly line: number;
  /** As it stands in the file, without the line's end. */
  readonly text: string;
}

export interface CrontabEntry extends Line {
  readonly kind: "entry";
  /** As written: five fields, or a name such as `@daily`. */
  readonly expression: string;
  /** In the system dialect only. */
  readonly user?: string;
  /** For the shell; empty when the line has none. */
  readonly command: string;
  readonly stdin?: string;
  /** What the assignments above it say, `CRON_TZ` included. */
  readonly environment: Readonly<Record<string, string>>;
  /** `CRON_TZ`, when it is set. */
  readonly timeZone?: string;
}

export type CrontabLine =
  | CrontabEntry
  | (Line & { readonly kind: "blank" | "comment" })
  | (Line & Assignment & { readonly kind: "assignment" });

export interface Crontab {
  readonly dialect: Dialect;
  /** All of the file's lines, in order. */
  readonly lines: readonly CrontabLine[];
  /** The last line has its newline. */
  readonly endsWithNewline: boolean;
}

export interface CrontabReading {
  /** `undefined` when there is a single problem: nothing of a crontab is used then. */
  readonly crontab?: Crontab;
  /** Errors, in the order of the file. */
  readonly problems: readonly Finding[];
  readonly warnings: readonly Finding[];
}

export interface ReadOptions {
  readonly dialect: Dialect;
  /** Names of the machine's users, when they are known: any other is an error in the system dialect. */
  readonly users?: readonly string[];
}

/** Bytes that Debian's cron has room for. */
const COMMAND_BYTES = 998;
/** Each entry holds the variables above it: this bounds what a file of nothing but variables and entries costs. */
const MAX_LINES = 10_000;

/** Reads a whole crontab; all that is wrong with it is found at once. */
export function readCrontab(text: string, options: ReadOptions): CrontabReading {
  const written = text.split("\n");
  const endsWithNewline = written.at(-1) === "";
  if (endsWithNewline) written.pop();
  if (written.length > MAX_LINES) return { problems: [tooManyLines()], warnings: [] };
  const lines: CrontabLine[] = [];
  const commands: WrittenCommand[] = [];
  const findings: Finding[] = [];
  let environment: Readonly<Record<string, string>> = {};
  for (const [index, raw] of written.entries()) {
    const read = readLine({ line: index + 1, text: raw }, environment, options);
    findings.push(...read.findings);
    if (read.line !== undefined) lines.push(read.line);
    if (read.command !== undefined) commands.push(read.command);
    if (read.line?.kind === "assignment") environment = { ...environment, [read.line.name]: read.line.value };
  }
  findings.push(...lintTogether(commands), ...lintLineEnds(written, endsWithNewline));
  findings.sort((a, b) => a.line - b.line || a.column - b.column);
  const problems = errorsOf(findings);
  return {
    ...(problems.length === 0 ? { crontab: { dialect: options.dialect, lines, endsWithNewline } } : {}),
    problems,
    warnings: warningsOf(findings),
  };
}

/** The entries of a crontab, in order. */
export function entriesOf({ lines }: Crontab): readonly CrontabEntry[] {
  return lines.filter((line) => line.kind === "entry");
}

interface LineReading {
  readonly line?: CrontabLine;
  readonly command?: WrittenCommand;
  readonly findings: readonly Finding[];
}

function readLine(line: Line, environment: CrontabEntry["environment"], options: ReadOptions): LineReading {
  const text = line.text.replace(/\r$/, "");
  const at = { line: line.line, column: 1 };
  if (/^[ \t]*$/.test(text)) return { line: { kind: "blank", ...line }, findings: [] };
  if (/^[ \t]*#/.test(text)) return { line: { kind: "comment", ...line }, findings: [] };
  const unusable = text.search(/[\0\r]/);
  if (unusable !== -1) {
    const what = { field: "line", value: text, expected: "text" };
    const about = "holds a NUL character or a carriage return";
    return { findings: [finding("error", "line_unusable", further(at, unusable), what, about)] };
  }
  const assignment = readAssignment(text);
  return assignment === undefined
    ? readEntry(line, text, environment, options)
    : { line: { kind: "assignment", ...line, ...assignment }, findings: checkAssignment(text, assignment, at) };
}

function readEntry(
  line: Line,
  text: string,
  environment: CrontabEntry["environment"],
  { dialect, users }: ReadOptions,
): LineReading {
  const at = { line: line.line, column: 1 };
  const hint = assignmentHint(text);
  if (hint !== undefined) {
    const what = { field: "environment", value: text.trim(), expected: "NAME=value" };
    return { findings: [finding("error", "assignment_invalid", at, what, "is no assignment that cron reads", hint)] };
  }
  const { expression, length, findings: ofTimes } = readExpression(text, at);
  if (expression === undefined) return { findings: ofTimes };
  const findings = [...ofTimes];
  let position = length + blanksAt(text, length);
  let user: string | undefined;
  if (dialect === "system") {
    [user = ""] = /^[^ \t]*/.exec(text.slice(position)) ?? [];
    findings.push(...checkUser(user, further(at, position), users));
    position += user.length;
    position += blanksAt(text, position);
  }
  const command = { text: text.slice(position), at: further(at, position) };
  const tooLong = checkLength(command);
  if (tooLong.length > 0) return { findings: [...findings, ...tooLong] };
  if (dialect === "user") findings.push(...lintCommand(command), ...checkNoUser(command.text, command.at, users));
  else if (command.text !== "") findings.push(...lintCommand(command));
  else if (user !== "") findings.push(commandMissing(command.at));
  const timeZone = environment.CRON_TZ;
  return {
    line: {
      kind: "entry",
      ...line,
      expression: expression.text,
      ...(user === undefined ? {} : { user }),
      ...readCommand(command.text),
      environment,
      ...(timeZone === undefined ? {} : { timeZone }),
    },
    command,
    findings,
  };
}

function blanksAt(text: string, position: number): number {
  return text.slice(position).search(/[^ \t]|$/);
}

/** A user's crontab may have entries without a command, with a warning; cron refuses them where a user is named. */
function commandMissing(at: Position): Finding {
  const what = { field: "command", value: "", expected: "a command" };
  const hint = "In a system crontab a user and a command follow the five fields: is one of them missing?";
  return finding("error", "field_missing", at, what, "is missing after the user", hint);
}

function checkLength({ text, at }: WrittenCommand): readonly Finding[] {
  const bytes = Buffer.byteLength(text);
  if (bytes <= COMMAND_BYTES) return [];
  const what = { field: "command", value: text, expected: `at most ${COMMAND_BYTES} bytes` };
  const about = `has ${bytes} bytes, and cron reads ${COMMAND_BYTES}`;
  return [finding("error", "command_too_long", at, what, about, "Put the command into a script of its own.")];
}

function checkAssignment(line: string, { name, value }: Assignment, at: Position): readonly Finding[] {
  const column = further(at, line.search(/[^ \t]/));
  const what = { field: "environment", value: line.trim(), expected: "NAME=value" };
  if (name === "") return [finding("error", "assignment_invalid", column, what, "has no name before the sign")];
  if (name === "CRON_TZ" && !isTimeZone(value)) {
    const zone = { ...what, value, expected: "a time zone such as Europe/London" };
    return [finding("error", "zone_unknown", column, zone, "is not a time zone")];
  }
  const findings: Finding[] = [];
  if (!/^[A-Za-z_]\w*$/.test(name)) {
    const hint = "Cron takes this line for an assignment because of its =.";
    findings.push(finding("warning", "name_unusual", column, what, "sets a variable that no shell can name", hint));
  }
  if (/\$\{?[A-Za-z_]|^~\//.test(value)) {
    const hint = "Cron puts in no variables and no ~: write the value out, or let the command do it.";
    findings.push(finding("warning", "variable_literal", column, what, "is set to exactly this text", hint));
  }
  if (name === "LOGNAME")
    findings.push(finding("warning", "variable_fixed", column, what, "is overridden by cron with the user's name"));
  return findings;
}

function tooManyLines(): Finding {
  const what = { field: "line", value: "", expected: `at most ${MAX_LINES} lines` };
  return finding("error", "line_unusable", { line: MAX_LINES + 1, column: 1 }, what, "is one too many");
}

function lintLineEnds(lines: readonly string[], endsWithNewline: boolean): readonly Finding[] {
  const findings: Finding[] = [];
  const first = lines.findIndex((text) => text.endsWith("\r"));
  if (first !== -1) {
    const at = { line: first + 1, column: lines[first]?.length ?? 1 };
    const what = { field: "line", value: "", expected: "lines that end with a newline alone" };
    const hint = "Save the file with Unix line ends: cron makes the carriage return part of the command.";
    findings.push(finding("warning", "carriage_return", at, what, "ends with a carriage return", hint));
  }
  const last = lines.at(-1) ?? "";
  if (!endsWithNewline && !/^[ \t]*(#|$)/.test(last)) {
    const at = { line: lines.length, column: last.length + 1 };
    const what = { field: "line", value: "", expected: "a newline at the end of the file" };
    findings.push(finding("warning", "newline_missing", at, what, "has no newline, and cron refuses such a file"));
  }
  return findings;
}
