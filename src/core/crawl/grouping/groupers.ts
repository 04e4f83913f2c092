import { AppError } from "../../errors.ts";
import { extensionOf, nameOf } from "../names.ts";
import { GROUPER_NAMES, type Group, type Grouper, type GrouperName } from "./groups.ts";
import { materialSets } from "./material-sets.ts";
import { compilePattern } from "./name-pattern.ts";
import { frameSequences } from "./sequences.ts";
import { sameStem } from "./stems.ts";

export interface GrouperOptions {
  /** For `regex`, which needs it, and for no other: see {@link compilePattern}. */
  readonly pattern?: string | undefined;
}

/** Files of one part may be grouped without the folder's other parts: no group has more than one file. */
export const GROUPS_PART_BY_PART: readonly GrouperName[] = ["file_is_group"];

/** @throws AppError request_invalid for a name that is no grouper's, a pattern that cannot be used, and one too many or few. */
export function grouperNamed(name: string, { pattern }: GrouperOptions = {}): Grouper {
  if (!isGrouperName(name))
    throw new AppError("request_invalid", { grouper: name, expected: GROUPER_NAMES.join(", ") });
  if ((name === "regex") !== (pattern !== undefined))
    throw new AppError("request_invalid", { grouper: name, expected: name === "regex" ? "a pattern" : "no pattern" });
  return name === "regex" ? byPattern(pattern ?? "") : GROUPERS[name];
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
 * Files whose names give all named groups the same values, or all groups when none has a name. Names that the pattern does
 * not match stay alone.
 */
function byPattern(pattern: string): Grouper {
  const { match, groupNames } = compilePattern(pattern);
  return (files) => {
    const values = files.map(({ path }) => match(nameOf(path)));
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
