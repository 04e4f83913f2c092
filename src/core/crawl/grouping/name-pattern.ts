import { AppError } from "../../errors.ts";

/*
 * Regular expressions that users give, over names that others give. The runtime's own engine backtracks, and takes for ever
 * over `(a|a)*b`; here all ways through the pattern are followed side by side, one character of the name at a time (Thompson
 * 1968, with captures as in Pike's `sam`). Time: length of the name × length of the pattern, whatever either holds.
 */

export interface NamePattern {
  /** Of the named groups, in the pattern's order; of all groups, as `1`, `2`, …, when none has a name. */
  readonly groupNames: readonly string[];
  /** What these groups matched, `null` where one took no part; `undefined` when nothing in the name matches. */
  match(name: string): readonly (string | null)[] | undefined;
  /** How often all matches until now have followed one step of the pattern at one place of a name: some 0.05 µs each. */
  followed(): number;
}

/** One character is read by `one`; the others are passed between two characters. */
type Step =
  | { readonly op: "one"; readonly fits: (character: string) => boolean }
  /** `first` is preferred. */
  | { readonly op: "fork"; first: number; second: number }
  | { readonly op: "jump"; to: number }
  | { readonly op: "save"; readonly slot: number }
  | { readonly op: "clear"; readonly from: number; readonly until: number }
  | { readonly op: "at"; readonly where: "start" | "end" }
  | { readonly op: "match" };

const LONGEST_PATTERN = 500;
/** Repetitions with counts are written out. */
const MOST_STEPS = 1_000;
/** Of a file system's names none is longer; of others, the rest is not looked at. */
const LONGEST_NAME = 1_024;

/**
 * Reads JavaScript's regular expressions (`u` flag), without what cannot be matched in linear time or says nothing about
 * names: back references, lookaround, word boundaries. Like `RegExp.exec`, it matches anywhere in the name; `^` and `$` are
 * its ends.
 * @throws AppError request_invalid.
 */
export function compilePattern(pattern: string): NamePattern {
  if (pattern.length > LONGEST_PATTERN)
    throw invalid(pattern.slice(0, 50), `at most ${LONGEST_PATTERN} characters`, pattern.length);
  // What the parser below is given is a regular expression: it need not look for mistakes.
  try {
    new RegExp(pattern, "u");
  } catch (error) {
    throw new AppError("request_invalid", { pattern, expected: "a regular expression" }, { cause: error });
  }
  const { steps, groups } = parse(pattern);
  const named = groups.flatMap((name, at) => (name === undefined ? [] : [{ name, at }]));
  if (new Set(named.map(({ name }) => name)).size < named.length) throw invalid(pattern, "each group's name once");
  const told = named.length > 0 ? named : groups.map((_, at) => ({ name: String(at + 1), at }));
  let followed = 0;
  return {
    groupNames: told.map(({ name }) => name),
    match(name) {
      const slots = run(steps, groups.length, Array.from(name.slice(0, LONGEST_NAME)), () => followed++);
      return slots && told.map(({ at }) => slots[at] ?? null);
    },
    followed: () => followed,
  };
}

/** Parts of a pattern: an escape, a class, a group's beginning, or any one character. */
const TOKEN =
  /\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|c[a-zA-Z]|k<[^>]*>|[1-9]\d*|.)|\[(?:\\.|[^\]\\])*\]|\(\?<[^=!>][^>]*>|\(\?(?:<?[=!]|[a-z-]*:)?|[*+?]\??|\{\d+(?:,\d*)?\}\??|./gsu;

function parse(pattern: string): { readonly steps: readonly Step[]; readonly groups: readonly (string | undefined)[] } {
  const tokens = pattern.match(TOKEN) ?? [];
  const groups: (string | undefined)[] = [];
  let at = 0;

  /** Alternatives, up to the end or a closing bracket. */
  function alternatives(): readonly Step[] {
    const first = sequence();
    if (tokens[at] !== "|") return first;
    at++;
    const second = alternatives();
    return joined([fork(1, first.length + 2)], first, [jump(second.length + 1)], second);
  }

  function sequence(): readonly Step[] {
    const steps: Step[] = [];
    for (let token = tokens[at]; token !== undefined && token !== "|" && token !== ")"; token = tokens[at]) {
      at++;
      const firstGroup = groups.length;
      const item = single(token);
      const repeated = repetitionOf(tokens[at]);
      if (repeated) at++;
      steps.push(...(repeated ? repeat(item, repeated, { from: firstGroup, until: groups.length }) : item));
      if (steps.length > MOST_STEPS) throw invalid(pattern, `at most ${MOST_STEPS} steps`);
    }
    return steps;
  }

  function single(token: string): readonly Step[] {
    if (token === "^" || token === "$") return [{ op: "at", where: token === "^" ? "start" : "end" }];
    if (token.startsWith("(")) return group(token);
    if (/^\\(?:[bB1-9]|k<)/.test(token)) throw invalid(pattern, "no back reference and no word boundary", token);
    // Whatever stands for one character is best understood by the runtime; one character gives it nothing to go back over.
    const one = new RegExp(`^(?:${token})$`, "u");
    const known = new Map<string, boolean>();
    const fits = (character: string) => {
      const answer = known.get(character) ?? one.test(character);
      if (known.size < 256) known.set(character, answer);
      return answer;
    };
    return [{ op: "one", fits }];
  }

  function group(token: string): readonly Step[] {
    if (token !== "(" && token !== "(?:" && !/^\(\?<[^=!]/.test(token))
      throw invalid(pattern, "no lookaround and no flags", token);
    const slot = token === "(?:" ? undefined : groups.push(/^\(\?<(.*)>$/.exec(token)?.[1]) - 1;
    const inner = alternatives();
    at++; // its closing bracket
    if (slot === undefined) return inner;
    return joined([{ op: "save", slot: 2 * slot }], inner, [{ op: "save", slot: 2 * slot + 1 }]);
  }

  /** What groups inside caught in one round is forgotten in the next (ECMA-262, RepeatMatcher). */
  function repeat(
    item: readonly Step[],
    { least, most, isLazy }: Repetition,
    inside: { readonly from: number; readonly until: number },
  ): readonly Step[] {
    const clear: Step = { op: "clear", ...inside };
    const round = inside.from === inside.until ? item : joined([clear], item);
    const copies = most ?? least + 1;
    if (copies * (round.length + 2) > MOST_STEPS) throw invalid(pattern, `at most ${MOST_STEPS} steps`);
    const steps: Step[] = [];
    for (let n = 0; n < least; n++) steps.push(...round);
    const branch = (onward: number) => (isLazy ? fork(onward, 1) : fork(1, onward));
    if (most === undefined) return joined(steps, [branch(round.length + 2)], round, [jump(-round.length - 1)]);
    // Each optional round may be the last: its fork leads behind all of them.
    for (let n = most - least; n > 0; n--) steps.push(branch(n * (round.length + 1)), ...round);
    return steps;
  }

  const body = alternatives();
  return { steps: absolute(joined(body, [{ op: "match" }])), groups };
}

interface Repetition {
  readonly least: number;
  readonly most: number | undefined;
  readonly isLazy: boolean;
}

function repetitionOf(token: string | undefined): Repetition | undefined {
  const [, sign, least, comma, most] = /^(?:([*+?])|\{(\d+)(,?)(\d*)\})\??$/.exec(token ?? "") ?? [];
  if (token === undefined || (sign === undefined && least === undefined)) return undefined;
  const isLazy = token.length > 1 && token.endsWith("?");
  if (sign !== undefined) return { least: sign === "+" ? 1 : 0, most: sign === "?" ? 1 : undefined, isLazy };
  const count = Number(least);
  return { least: count, most: comma === "" ? count : most === "" ? undefined : Number(most), isLazy };
}

/** Targets are relative to the step itself until the whole is there. */
const fork = (first: number, second: number): Step => ({ op: "fork", first, second });
const jump = (to: number): Step => ({ op: "jump", to });
const joined = (...parts: readonly (readonly Step[])[]): readonly Step[] => parts.flat();

function absolute(steps: readonly Step[]): readonly Step[] {
  return steps.map((step, at) => {
    if (step.op === "fork") return fork(at + step.first, at + step.second);
    return step.op === "jump" ? jump(at + step.to) : step;
  });
}

/**
 * What happened to captures on the way to a thread, last first. Threads share what they have in common: to note one thing
 * costs the same however many groups there are.
 */
type Trace =
  | { readonly before: Trace; readonly from: number; readonly until: number; readonly position: number | undefined }
  | undefined;

/** @returns what each group matched, or `undefined`. */
function run(
  steps: readonly Step[],
  groups: number,
  characters: readonly string[],
  onStep: () => void,
): readonly (string | undefined)[] | undefined {
  let found: { readonly trace: Trace } | undefined;
  let threads: { readonly at: number; readonly trace: Trace }[] = [];
  /** The position at which a step was reached last: by a thread that is preferred to any later one. */
  const reached = new Int32Array(steps.length).fill(-1);

  function follow(start: number, startTrace: Trace, position: number, into: typeof threads): void {
    const pending = [{ at: start, trace: startTrace }];
    for (let next = pending.pop(); next; next = pending.pop()) {
      const { at, trace } = next;
      const step = steps[at];
      onStep();
      if (!step || reached[at] === position) continue;
      reached[at] = position;
      if (step.op === "one" || step.op === "match") into.push(next);
      else if (step.op === "jump") pending.push({ at: step.to, trace });
      else if (step.op === "fork") pending.push({ at: step.second, trace }, { at: step.first, trace });
      else if (step.op === "save") {
        const { slot } = step;
        pending.push({ at: at + 1, trace: { before: trace, from: slot, until: slot + 1, position } });
      } else if (step.op === "clear") {
        const { from, until } = step;
        pending.push({ at: at + 1, trace: { before: trace, from: 2 * from, until: 2 * until, position: undefined } });
      } else if (position === (step.where === "start" ? 0 : characters.length)) pending.push({ at: at + 1, trace });
    }
  }

  for (let position = 0; position <= characters.length; position++) {
    // A match may begin here, unless one has been found that began earlier.
    const here: typeof threads = threads;
    if (!found) follow(0, undefined, position, here);
    if (here.length === 0) break;
    threads = [];
    const character = characters[position];
    for (const thread of here) {
      const step = steps[thread.at];
      if (step?.op === "match") {
        found = thread;
        break; // those behind it are less preferred
      }
      if (step?.op === "one" && character !== undefined && step.fits(character))
        follow(thread.at + 1, thread.trace, position + 1, threads);
    }
  }
  if (!found) return undefined;
  const slots = slotsOf(found.trace, 2 * groups);
  return Array.from({ length: groups }, (_, group) => {
    const [start, end] = slots.slice(2 * group, 2 * group + 2);
    return start === undefined || end === undefined ? undefined : characters.slice(start, end).join("");
  });
}

/** Where captures begin and end, in characters: of each, what happened to it last. */
function slotsOf(last: Trace, count: number): readonly (number | undefined)[] {
  const slots = Array<number | undefined>(count).fill(undefined);
  const open = new Set(slots.keys());
  for (let trace = last; trace && open.size > 0; trace = trace.before)
    for (let slot = trace.from; slot < trace.until; slot++) if (open.delete(slot)) slots[slot] = trace.position;
  return slots;
}

function invalid(pattern: string, expected: string, found?: string | number): AppError {
  return new AppError("request_invalid", { pattern, expected, ...(found === undefined ? {} : { found }) });
}
