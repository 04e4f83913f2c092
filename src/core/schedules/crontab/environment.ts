/** A line `NAME=value`. It holds for the entries below it. */
export interface Assignment {
  readonly name: string;
  readonly value: string;
}

/**
 * As Debian's cron reads it: blanks around the sign are skipped, and either side may be in quotes of one kind, in which
 * there are no escapes. `$` is a character like any other.
 * @returns `undefined` when cron would try to read the line as an entry.
 */
export function readAssignment(line: string): Assignment | undefined {
  const { quote, quoted, bare, rest = "" } = ASSIGNMENT.exec(line.replace(/^[ \t]+/, ""))?.groups ?? {};
  const name = quote === undefined ? bare : quoted;
  if (name === undefined) return undefined;
  const value = readAssigned(rest);
  return value === undefined ? undefined : { name, value };
}

const ASSIGNMENT =
  /^(?:(?<quote>["'])(?<quoted>(?:(?!\k<quote>)[^=])*)\k<quote>|(?<bare>(?!["'])[^\s=]*))\s*=\s*(?<rest>.*)$/s;

function readAssigned(text: string): string | undefined {
  const quote = text[0];
  if (quote !== '"' && quote !== "'") return text.trimEnd() || undefined;
  const end = text.indexOf(quote, 1);
  return end !== -1 && text.slice(end + 1).trim() === "" ? text.slice(1, end) : undefined;
}

/** @returns `undefined` when no line says this: both kinds of quotes are needed, or the value has several lines. */
export function writeAssignment({ name, value }: Assignment): string | undefined {
  const quotes = ["", '"', "'"];
  for (const left of quotes)
    for (const right of quotes) {
      const line = `${left}${name}${left}=${right}${value}${right}`;
      const read = readAssignment(line);
      if (!/[\n\0]/.test(line) && read?.name === name && read.value === value && !line.startsWith("#")) return line;
    }
  return undefined;
}

/** What is wrong with a line that looks like an assignment and is none. */
export function assignmentHint(line: string): string | undefined {
  if (/^\s*[A-Za-z_]\w*\s*=\s*$/.test(line)) return `For an empty value write ${line.trim().replace(/\s*=$/, "")}="".`;
  if (/^\s*[A-Za-z_]\w*\s*=\s*["']/.test(line))
    return "A value that begins with a quote ends with the same one, and nothing follows it, no comment either.";
  if (/^\s*(export|set)\s+\w+=/.test(line)) return "Cron reads no shell here: write NAME=value alone.";
  if (/^\s*[A-Za-z_]+ [\w ]+=/.test(line)) return "A name with blanks needs quotes.";
  return undefined;
}
