import type { DetailValue } from "../errors.ts";
import { AppError } from "../errors.ts";
import type { Entry } from "./entry.ts";

/**
 * Templates: text with places, `{fname}` for a field's value, `{day:folders}` for one that may name several folders (of a
 * date, YYYY/MM/DD). `{{` and `}}` stand for braces.
 */
const PLACE = /(\{\{|\}\})|\{([A-Za-z_][A-Za-z0-9_]*)(:folders)?\}/g;

/** What every entry has beside its fields. */
const OWN = ["register", "entry", "status", "reason", "owner"] as const;

interface FoundPlace {
  readonly whole: string;
  readonly name: string;
  isKnown(fields: object): boolean;
}

export function* placesIn(template: string): Generator<FoundPlace> {
  for (const [whole, double, name = ""] of template.matchAll(PLACE))
    if (double === undefined)
      yield {
        whole,
        name,
        isKnown: (fields) => (OWN as readonly string[]).includes(name) || Object.hasOwn(fields, name),
      };
}

/** For people: whatever the values are. */
export function filledText(template: string, entry: Entry): string {
  return filled(template, (name) => textOf(valueIn(entry, name)));
}

/**
 * For a path below a folder: a value is one name, or with `:folders` several, and never leads elsewhere.
 * @throws AppError action_failed, naming the field.
 */
export function filledPath(template: string, entry: Entry): string {
  return filled(template, (name, mayHaveFolders) => {
    const value = textOf(valueIn(entry, name));
    const names = mayHaveFolders ? (/^\d{4}-\d\d-\d\d$/.test(value) ? value.split("-") : value.split("/")) : [value];
    const isPlain = names.every((one) => /^[^/\0\\]{1,255}$/.test(one) && one !== "." && one !== "..");
    if (isPlain) return names.join("/");
    throw new AppError("action_failed", { field: name, expected: "a plain name", found: value.slice(0, 200) });
  });
}

/**
 * For an argument of a command. What begins with a value must not look like an option.
 * @throws AppError action_failed, naming the field.
 */
export function filledArgument(template: string, entry: Entry, paths: Readonly<Record<string, string>>): string {
  let isBegun = false;
  return filled(template, (name, _folders, at) => {
    const known = paths[name];
    if (known !== undefined) return known;
    const value = textOf(valueIn(entry, name));
    if ((at === 0 && !isBegun && value.startsWith("-")) || value.includes("\0"))
      throw new AppError("action_failed", { field: name, expected: "a value that is no option", found: value });
    isBegun = true;
    return value;
  });
}

function filled(template: string, fill: (name: string, mayHaveFolders: boolean, at: number) => string): string {
  return template.replace(PLACE, (_whole, double: string | undefined, name: string, folders: string | undefined, at) =>
    double === undefined ? fill(name, folders !== undefined, Number(at)) : double.charAt(0),
  );
}

function valueIn(entry: Entry, name: string): DetailValue {
  const { register, id, status, reason, owner, fields } = entry;
  const own: Readonly<Record<string, DetailValue>> = { register, entry: id, status, reason, owner };
  return fields[name] ?? own[name] ?? null;
}

function textOf(value: DetailValue): string {
  if (value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
