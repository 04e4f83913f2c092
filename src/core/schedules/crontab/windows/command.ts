import { type Finding, finding, type Position } from "../finding.ts";

export const SCHEDULES: readonly string[] =
  "MINUTE HOURLY DAILY WEEKLY MONTHLY ONCE ONSTART ONLOGON ONIDLE ONEVENT".split(" ");

/** One word of a command line, without its quotes. */
interface Word {
  readonly text: string;
  /** From 0. */
  readonly index: number;
}

export interface Option {
  readonly value: string;
  readonly at: Position;
}

export interface OptionsReading {
  /** By name in lower case, with its slash. */
  readonly options: ReadonlyMap<string, Option>;
  readonly findings: readonly Finding[];
}

/** Options that say when and what. */
const READ = ["/tn", "/tr", "/sc", "/mo", "/d", "/m", "/st", "/sd", "/ru"];
/** What they ask for is no matter of times, or Longshore's own. The password is dropped without being repeated. */
const DROPPED = ["/rp", "/s", "/u", "/p", "/rl", "/delay"];
const DROPPED_FLAGS = ["/np", "/it", "/v1", "/z", "/hresult"];
/** They bound or repeat a task in ways that a crontab has no words for. */
const INEXPRESSIBLE = ["/ed", "/et", "/du", "/ri", "/i", "/ec", "/xml"];
const FLAGS = ["/create", "/f", "/k", ...DROPPED_FLAGS];
const SECRET = ["/rp", "/p"];

/** Splits as Windows does: blanks part words, `"` holds them together, and `\"` is a quote. */
export function wordsOf(line: string): readonly Word[] {
  return [...line.matchAll(/(?:"(?:\\"|[^"])*"?|\\"|[^\s"])+/g)].map(({ 0: raw, index }) => ({
    text: raw.replace(/\\"|"/g, (found) => (found === '"' ? "" : '"')),
    index,
  }));
}

/** @param at where the line begins. */
export function optionsOf(words: readonly Word[], at: Position): OptionsReading {
  const options = new Map<string, Option>();
  const findings: Finding[] = [];
  const [program, verb, ...rest] = words;
  if (!/^(?:.*[\\/])?schtasks(?:\.exe)?$/i.test(program?.text ?? "") || verb?.text.toLowerCase() !== "/create") {
    const what = {
      field: "line",
      value: words
        .slice(0, 2)
        .map(({ text }) => text)
        .join(" "),
      expected: "schtasks /create",
    };
    return { options, findings: [finding("error", "line_unusable", at, what, "does not create a task")] };
  }
  for (let i = 0; i < rest.length; i++) {
    const word = rest[i];
    if (word === undefined) break;
    const name = word.text.toLowerCase();
    const position = { line: at.line, column: word.index + 1 };
    const known = [...READ, ...DROPPED, ...INEXPRESSIBLE, ...FLAGS];
    if (!known.includes(name)) {
      const what = { field: "line", value: word.text, expected: READ.join(", ") };
      findings.push(finding("error", "option_unknown", position, what, "is not an option of schtasks /create"));
      continue;
    }
    const following = FLAGS.includes(name) || rest[i + 1]?.text.startsWith("/") ? undefined : rest[++i];
    const value = following?.text ?? "";
    if (options.has(name)) {
      const what = { field: name, value: SECRET.includes(name) ? "" : value, expected: "one value" };
      findings.push(finding("error", "option_unknown", position, what, "is given twice"));
    }
    options.set(name, { value, at: position });
    findings.push(...judge(name, SECRET.includes(name) ? "" : value, position));
  }
  return { options, findings };
}

function judge(name: string, value: string, at: Position): readonly Finding[] {
  const what = { field: name, value, expected: "nothing" };
  if (INEXPRESSIBLE.includes(name) || name === "/k")
    return [finding("error", "no_equivalent", at, what, "has no equivalent in a crontab")];
  if (!DROPPED.includes(name) && !DROPPED_FLAGS.includes(name)) return [];
  return [finding("warning", "option_dropped", at, what, "is not kept in a crontab")];
}
