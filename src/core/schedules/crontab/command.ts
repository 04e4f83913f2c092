/** What an entry runs: the text for the shell, and what it reads from its standard input. */
export interface CommandLine {
  readonly command: string;
  /** Absent when the entry has no `%`: the command then reads nothing. */
  readonly stdin?: string;
}

/**
 * As Debian's cron takes a command apart (tried with version 3.0pl1-162): the first `%` ends it, and what follows is its
 * input, a line for each further `%`. `\%` is a percent sign; in the command `\\` is a backslash, and other backslashes
 * stay.
 */
export function readCommand(text: string): CommandLine {
  const end = firstPercent(text);
  const command = text.slice(0, end ?? text.length).replace(/\\([%\\])/g, "$1");
  return end === undefined ? { command } : { command, stdin: readInput(text.slice(end + 1)) };
}

/** Where the command ends and its input begins; `undefined` without an unescaped `%`. */
export function firstPercent(text: string): number | undefined {
  const [before = ""] = /^(?:[^%\\]|\\.|\\$)*/s.exec(text) ?? [];
  return before.length < text.length ? before.length : undefined;
}

/** The last line gets its end when it has none, and `\%` is a percent sign; backslashes are kept otherwise. */
function readInput(text: string): string {
  const input = text.replace(/\\%|%/g, (found) => (found === "%" ? "\n" : "%"));
  return input === "" || input.endsWith("\n") ? input : `${input}\n`;
}

/**
 * The text that `readCommand` reads as this.
 * @returns `undefined` when no text is: the command has several lines, or cron would change the input.
 */
export function writeCommand({ command, stdin }: CommandLine): string | undefined {
  const last = stdin === undefined ? "" : "%";
  const text = command.replace(/\\(?=[\\%]|$)/g, "\\\\").replaceAll("%", "\\%");
  const input = stdin === undefined ? "" : writeInput(stdin);
  const written = `${text}${last}${input}`;
  if (/[\n\0]/.test(written)) return undefined;
  const read = readCommand(written);
  return read.command === command && read.stdin === stdin ? written : undefined;
}

function writeInput(stdin: string): string {
  const lines = /[^\n]\n$/.test(stdin) ? stdin.slice(0, -1) : stdin;
  return lines.replaceAll("%", "\\%").replaceAll("\n", "%");
}
