import { firstPercent } from "./command.ts";
import { type Finding, type FindingCode, finding, further, type Position } from "./finding.ts";

/** An entry's command as it is written, with its `%`, and where it begins. */
export interface WrittenCommand {
  readonly text: string;
  readonly at: Position;
}

/** Mistakes that one command shows by itself. */
export function lintCommand({ text, at }: WrittenCommand): readonly Finding[] {
  const findings: Finding[] = [];
  function warn(code: FindingCode, index: number, value: string, expected: string, about: string, hint: string): void {
    findings.push(finding("warning", code, further(at, index), { field: "command", value, expected }, about, hint));
  }

  if (text === "") {
    warn("command_missing", 0, "", "a command", "is missing", "The entry would run nothing.");
    return findings;
  }
  const [sixth] = /^(?:\*\S*|\d[-\d*,/]*(?=[ \t]))/.exec(text) ?? [];
  if (sixth !== undefined) {
    // Debian's cron refuses a command that begins with `*`.
    const severity = sixth.startsWith("*") ? "error" : "warning";
    const what = { field: "command", value: sixth, expected: "a command" };
    const hint = "Five fields say when; cron has no seconds and no years.";
    findings.push(finding(severity, "extra_field", at, what, "looks like a sixth field of time", hint));
  }
  const percent = firstPercent(text);
  if (percent !== undefined) {
    const hint = "Write \\% for a percent sign: cron ends the command here and gives it the rest as input.";
    warn("percent_unescaped", percent, text.slice(percent, percent + 12), "\\%", "is not part of the command", hint);
  }
  for (const { 0: typed, 1: from, 2: to, index } of text.matchAll(/(?<!\S)([12])&>([12])(?!\S)/g))
    warn("redirect_typo", index, typed, `${from}>&${to}`, "does not join the outputs", `Write ${from}>&${to}.`);
  for (const { 0: typed, 1: file, index } of text.matchAll(
    /\bsudo\s+(?:-\S+\s+)*(?:echo|printf|cat)\b[^|;&>]*>>?\s*(\/\S+)/g,
  )) {
    const hint = `The file is opened before sudo runs, without its rights: write "… | sudo tee -a ${file}".`;
    warn("redirect_without_rights", index, typed, "sudo tee", "writes without the rights of sudo", hint);
  }
  for (const { 0: typed, index } of text.matchAll(/\/etc\/crontab\/(?=\S*)/g))
    warn(
      "folder_of_file",
      index,
      typed,
      "/etc/crontab",
      "is a file, not a folder",
      "Folders of crontabs: /etc/cron.d/.",
    );
  return findings;
}

/** Mistakes that show only beside the other entries. */
export function lintTogether(commands: readonly WrittenCommand[]): readonly Finding[] {
  return [...overwrittenLogs(commands), ...missingLocks(commands)];
}

interface Redirect {
  readonly file: string;
  readonly appends: boolean;
  readonly at: Position;
}

/** Several entries write one file, and this one begins it anew. */
function overwrittenLogs(commands: readonly WrittenCommand[]): readonly Finding[] {
  const writers = new Map<string, Redirect[]>();
  for (const command of commands) {
    const files = new Map(redirects(command).map((redirect) => [redirect.file, redirect]));
    for (const [file, redirect] of files) writers.set(file, [...(writers.get(file) ?? []), redirect]);
  }
  return [...writers.values()]
    .filter((redirectsToOne) => redirectsToOne.length > 1)
    .flat()
    .filter(({ appends }) => !appends)
    .map(({ file, at }) => {
      const what = { field: "command", value: `> ${file}`, expected: `>> ${file}` };
      const hint = "Append with >>, or give each entry a file of its own.";
      return finding("warning", "log_overwritten", at, what, "overwrites what other entries wrote there", hint);
    });
}

function redirects({ text, at }: WrittenCommand): readonly Redirect[] {
  return [...text.matchAll(/(?<![<>&\d=-])[12&]?(>>?)\s*([^\s;|&<>()]+)/g)]
    .map(({ 1: sign, 2: file = "", index }) => ({ file, appends: sign === ">>", at: further(at, index) }))
    .filter(({ file }) => !file.startsWith("/dev/"));
}

/** Fewer entries are without a lock than with one: left out, probably. Folders that `run-parts` runs are not counted. */
function missingLocks(commands: readonly WrittenCommand[]): readonly Finding[] {
  const own = commands.filter(({ text }) => text !== "" && !/\brun-parts\b/.test(text));
  const without = own.filter(({ text }) => !/\bflock\b/.test(text));
  const locked = own.length - without.length;
  if (locked < 2 || without.length >= locked) return [];
  return without.map(({ text, at }) => {
    const what = { field: "command", value: text, expected: "flock -w 0 LOCK command" };
    const about = `has no lock, and ${locked} others here have one`;
    return finding("warning", "lock_missing", at, what, about, "Without flock it can run twice at the same time.");
  });
}
