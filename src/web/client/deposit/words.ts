import { countText } from "../../amounts.ts";

/** The sentences of a page's script, which the page brings along in the reader's language. */
export interface Words {
  /** What is between braces is filled in. */
  say(name: string, values?: Readonly<Record<string, string | number>>): string;
  /** `1 file`, `1,234 files`. */
  files(count: number): string;
}

/** @param json of names and sentences. */
export function wordsOf(json: string): Words {
  const sentences = JSON.parse(json) as Readonly<Record<string, string>>;
  const say: Words["say"] = (name, values = {}) =>
    (sentences[name] ?? name).replaceAll(/\{(\w+)\}/g, (place, key: string) => String(values[key] ?? place));
  return { say, files: (count) => say(count === 1 ? "file" : "files", { count: countText(count) }) };
}
