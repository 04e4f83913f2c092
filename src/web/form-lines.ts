/**
 * Lists and pairs as the lines of a text area, for people to type. What lines cannot say, such as a value of several lines,
 * is written as JSON, and JSON is read wherever the text begins like it.
 */

type Pairs = Readonly<Record<string, string>>;

export function listText(list: readonly string[]): string {
  const needsJson = list.some((one, at) => one === "" || /[\r\n]/.test(one) || (at === 0 && one.startsWith("[")));
  return needsJson ? JSON.stringify(list) : list.join("\n");
}

/** @returns any JSON that was typed: whoever takes it judges its shape. */
export function listFrom(text: string): unknown {
  return jsonIn(text, "[") ?? text.split("\n").filter((line) => line.trim() !== "");
}

export function pairsText(pairs: Pairs, separator: string): string {
  const lines = Object.entries(pairs).map(([name, value]) => `${name}${separator}${value}`);
  const needsJson = lines.some((line, at) => /[\r\n]/.test(line) || (at === 0 && line.startsWith("{")));
  return needsJson ? JSON.stringify(pairs, null, 2) : lines.join("\n");
}

/** A line that is no pair. */
export class NoPair extends Error {
  /** From 1. */
  readonly line: number;
  constructor(line: number) {
    super(`line ${line} is no pair`);
    this.line = line;
  }
}

/** @param separator of which spaces around it do not count. @throws NoPair. */
export function pairsFrom(text: string, separator: string): unknown {
  const json = jsonIn(text, "{");
  if (json !== undefined) return json;
  const mark = separator.trim();
  const isSpaced = mark !== separator;
  return Object.fromEntries(
    text.split("\n").flatMap((line, at) => {
      if (line.trim() === "") return [];
      const cut = line.indexOf(mark);
      if (cut < 1) throw new NoPair(at + 1);
      const value = line.slice(cut + mark.length);
      return [[line.slice(0, cut).trim(), isSpaced ? value.trim() : value]];
    }),
  );
}

/** `undefined`: it is no JSON that begins so. */
export function jsonIn(text: string, beginning: string): unknown {
  if (!text.trimStart().startsWith(beginning)) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
