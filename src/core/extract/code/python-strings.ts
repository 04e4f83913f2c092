const TAB_COLUMNS = 8;
const SIMPLE: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
const ESCAPE = /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([\s\S]))/g;

/**
 * The value of a string literal without its quotes (The Python Language Reference, 2.4.1). `\N{…}` stays as it is written.
 * @param prefix the letters before the quotes.
 */
export function stringValue(prefix: string, content: string): string {
  if (/r/i.test(prefix)) return content;
  return content.replace(ESCAPE, (written, octal, two, four, eight, other) => {
    if (other !== undefined) return SIMPLE[other] ?? written;
    const code = octal === undefined ? Number.parseInt(two ?? four ?? eight, 16) : Number.parseInt(octal, 8);
    return code > 0x10ffff ? written : String.fromCodePoint(code);
  });
}

/** A docstring without the indentation of the code around it (PEP 257, "Handling Docstring Indentation"). */
export function cleanDocstring(text: string): string {
  const [first = "", ...rest] = text.split("\n").map(expandTabs);
  const indents = rest.filter((line) => line.trim() !== "").map((line) => line.length - line.trimStart().length);
  const margin = indents.reduce((least, indent) => Math.min(least, indent), Number.POSITIVE_INFINITY);
  const lines = [first.trimStart(), ...rest.map((line) => line.slice(Math.min(margin, line.length)))];
  return lines.join("\n").replace(/^\n+|\n+$/g, "");
}

function expandTabs(line: string): string {
  if (!line.includes("\t")) return line;
  let expanded = "";
  for (const [i, part] of line.split("\t").entries())
    expanded += i === 0 ? part : " ".repeat(TAB_COLUMNS - (expanded.length % TAB_COLUMNS)) + part;
  return expanded;
}
