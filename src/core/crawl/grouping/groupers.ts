import { AppError } from "../../errors.ts";
import { extensionOf, nameOf } from "../names.ts";
import type { SourceEntry } from "../source.ts";
import { GROUPER_NAMES, type Group, type Grouper, type GrouperName } from "./groups.ts";
import { materialSets } from "./material-sets.ts";
import { compilePattern } from "./name-pattern.ts";
import { frameSequences } from "./sequences.ts";
import { sameStem } from "./stems.ts";

export interface GrouperOptions {
  /** For `regex`, which needs it, and for no other: see {@link compilePattern}. */
  readonly pattern?: string | undefined;
  /** Lets everybody else in the process have a turn; needed by whoever groups many names, and not to check a pattern. */
  readonly giveWay?: () => Promise<void>;
}

/** Files of one part may be grouped without the folder's other parts: no group has more than one file. */
export const GROUPS_PART_BY_PART: readonly GrouperName[] = ["file_is_group"];

/** @throws AppError request_invalid for a name that is no grouper's, a pattern that cannot be used, and one too many or few. */
export function grouperNamed(name: string, { pattern, giveWay }: GrouperOptions = {}): Grouper {
  if (!isGrouperName(name))
    throw new AppError("request_invalid", { grouper: name, expected: GROUPER_NAMES.join(", ") });
  if ((name === "regex") !== (pattern !== undefined))
    throw new AppError("request_invalid", { grouper: name, expected: name === "regex" ? "a pattern" : "no pattern" });
  return name === "regex" ? byPattern(pattern ?? "", giveWay) : GROUPERS[name];
}

export function isGrouperName(name: string): name is GrouperName {
  return GROUPER_NAMES.some((known) => known === name);
}

const GROUPERS: Readonly<Record<Exclude<GrouperName, "regex">, Grouper>> = {
  file_is_group: (files) => files.map((_, index) => ({ files: [index], kind: "file" })),
  extension: (files) =>
    collect(files.map(({ path }) => extensionOf(nameOf(path)))).map(([kind, indexes]) => ({ files: indexes, kind })),
  directory: (files) => (files.length === 0 ? [] : [{ files: files.map((_, index) => index), kind: "directory" }]),
  matio: (files) => materialSets(files.map(({ path }) => nameOf(path))),
  stem: (files) => sameStem(files.map(({ path }) => nameOf(path))),
  sequence: (files) => frameSequences(files.map(({ path }) => nameOf(path))),
};

/**
 * What one name may cost on average: some 3 ms. `^(?<run>\d+)_(?<frame>\d+)\.dpx$` takes a hundred steps for a name,
 * `(?<run>.*)_(?<n>\d+)\.(?:tif|tiff|jpe?g)$` 1,500 for one of 200 letters, `(a?){100}b` 150,000 for one of 250 (2026-11).
 */
const STEPS_PER_NAME = 50_000;
/** So that a few long names are no fault of the pattern. */
const STEPS_AT_FIRST = 100 * STEPS_PER_NAME;
/** For how long names are matched before everybody else in the process has a turn. */
const TURN_MS = 10;

/**
 * Files whose names give all named groups the same values, or all groups when none has a name. Names that the pattern does
 * not match stay alone. Patterns are matched here and not in a thread that could be stopped, as what a match takes is
 * bounded: so it is enough to count.
 */
function byPattern(pattern: string, giveWay: GrouperOptions["giveWay"]): Grouper {
  const { match, followed, groupNames } = compilePattern(pattern);
  let names = 0;

  async function valuesOf(files: readonly SourceEntry[]) {
    const values: ReturnType<typeof match>[] = [];
    for (let since = performance.now(); values.length < files.length; ) {
      values.push(match(nameOf(files[values.length]?.path ?? "")));
      names++;
      if (followed() > STEPS_AT_FIRST + names * STEPS_PER_NAME)
        throw new AppError("request_invalid", {
          pattern,
          expected: `a pattern that takes at most ${STEPS_PER_NAME} steps for a name`,
          found: Math.round(followed() / names),
        });
      if (performance.now() - since < TURN_MS) continue;
      await giveWay?.();
      since = performance.now();
    }
    return values;
  }

  return async (files) => {
    const values = await valuesOf(files);
    // What no value can be: a name has no NUL.
    const keys = values.map((value, index) => (value ? JSON.stringify(value) : `\0${index}`));
    return collect(keys).map(([, indexes]): Group => {
      const value = values[indexes[0] ?? 0];
      if (!value) return { files: indexes, kind: "file" };
      const named = groupNames.map((name, at) => [name, value[at] ?? null] as const);
      return { files: indexes, kind: "regex", details: Object.fromEntries(named) };
    });
  };
}

/** Indexes by key, in the order in which the keys come first. */
function collect(keys: readonly string[]): readonly (readonly [string, readonly number[]])[] {
  const byKey = Map.groupBy(keys.keys(), (index) => keys[index] ?? "");
  return [...byKey];
}
