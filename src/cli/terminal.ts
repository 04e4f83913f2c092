import type { WriteStream } from "node:tty";

/** How often a line that is redrawn in place changes, and how often it is repeated where nothing can be redrawn. */
const REDRAW_MS = 100;
const REPEAT_MS = 5_000;
const CLEAR_LINE = "\r\x1b[K";

/** Results go to standard output, everything else to standard error. */
export interface Terminal {
  /** A line of the result. */
  print(line: string): void;
  /** A result, or one of several, as one line of JSON. */
  printJson(value: unknown): void;
  /** A line for the person who waits. */
  note(line: string): void;
  /** Shows how far something is: in place on a terminal, now and then elsewhere. */
  progress(line: string): void;
}

type Output = Pick<WriteStream, "write"> & Partial<Pick<WriteStream, "isTTY" | "columns">>;

export function terminal(stdout: Output, stderr: Output, now: () => number): Terminal {
  const interactive = stderr.isTTY === true;
  let drawn = false;
  // Where lines pile up, what is over within seconds needs none.
  let shownAt = interactive ? Number.NEGATIVE_INFINITY : now();

  const clear = () => {
    if (drawn) stderr.write(CLEAR_LINE);
    drawn = false;
  };
  const write = (output: Output, line: string) => {
    clear();
    output.write(`${line}\n`);
  };
  return {
    print: (line) => write(stdout, visible(line)),
    printJson: (value) => write(stdout, JSON.stringify(value)),
    note: (line) => write(stderr, visible(line)),
    progress(line) {
      if (now() - shownAt < (interactive ? REDRAW_MS : REPEAT_MS)) return;
      shownAt = now();
      if (!interactive) {
        stderr.write(`${visible(line)}\n`);
        return;
      }
      stderr.write(CLEAR_LINE + visible(line).slice(0, (stderr.columns || 80) - 1));
      drawn = true;
    },
  };
}

/** Names in a line are a depositor's: what would steer the terminal, or turn the text around, is spelled out. */
function visible(line: string): string {
  return line.replace(
    /[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Columns as wide as their widest cell; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const widths = head.map((title, column) =>
    rows.reduce((width, row) => Math.max(width, String(row[column] ?? "").length), title.length),
  );
  const line = (cells: readonly (string | number)[]) =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return typeof cell === "number" ? String(cell).padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [line(head), ...rows.map(line)];
}
