import { canonicalJson } from "../access/audit.ts";
import type { Clock } from "../clock.ts";
import { AppError, type Details, type DetailValue } from "../errors.ts";
import { type Declaration, fieldName, fieldProblems, typedValue } from "./declaration.ts";
import type { Fields } from "./entry.ts";

/**
 * What a client sends, as the fields of an entry: aliases resolved, text as the type of its field, defaults filled in,
 * in the order of the declaration.
 * @param earlier what stays where nothing is sent.
 * @throws AppError entry_invalid, with `details.problems`: everything that is wrong, by field.
 */
export function fieldsOf(
  declaration: Declaration,
  sent: Readonly<Record<string, DetailValue>>,
  earlier: Fields,
  clock: Clock,
): Fields {
  const given: Record<string, DetailValue> = { ...earlier };
  const problems: Details[] = [];
  const named = new Map<string, string>();
  for (const [name, value] of Object.entries(sent)) {
    const field = fieldName(declaration, name);
    if (field === undefined) {
      problems.push({ field: name, message: "there is no field of this name" });
      continue;
    }
    const other = named.get(field);
    if (other !== undefined) problems.push({ field: name, message: `it is the same as ${other}` });
    named.set(field, name);
    given[field] = typeof value === "string" ? typedValue(declaration, field, value) : value;
  }
  // Fields that are null and may not be count as not given.
  for (const [field, value] of Object.entries(given))
    if (value === null && !mayBeNull(declaration, field)) delete given[field];
  if (!declaration.validate(given)) problems.push(...fieldProblems(declaration.validate.errors));
  problems.push(...ages(declaration, given, earlier, clock));
  if (problems.length > 0) {
    const { field, message } = problems[0] ?? {};
    throw new AppError("entry_invalid", { field: field ?? "", reason: message ?? "", problems });
  }
  return ordered(declaration, given);
}

function mayBeNull({ fields }: Declaration, field: string): boolean {
  const { type } = fields[field] ?? {};
  return Array.isArray(type) ? type.includes("null") : type === undefined || type === "null";
}

const ordered = ({ fieldNames }: Declaration, given: Fields): Fields =>
  Object.fromEntries(fieldNames.flatMap((name) => (given[name] === undefined ? [] : [[name, given[name]]])));

/** Of dates that are new: whether they are as old as they may be. */
function* ages({ fields }: Declaration, given: Fields, earlier: Fields, clock: Clock): Generator<Details> {
  for (const [name, { age }] of Object.entries(fields)) {
    const value = given[name];
    if (!age || typeof value !== "string" || value === earlier[name]) continue;
    const ageMs = clock.now() - Date.parse(`${value}T00:00:00Z`);
    if (age.least !== undefined && ageMs < age.least)
      yield { field: name, message: `must be at least ${days(age.least)} ago` };
    if (age.most !== undefined && ageMs >= age.most + DAY_MS)
      yield { field: name, message: `must be at most ${days(age.most)} ago` };
  }
}

const DAY_MS = 86_400_000;
const days = (ms: number) => `${Number((ms / DAY_MS).toFixed(2))} days`;

/** What no other entry may have: one text for each set of unique fields. An entry that lacks one of them clashes with none. */
export function keysOf({ unique }: Declaration, fields: Fields): readonly string[] {
  return unique.flatMap((names) => {
    const values = names.map((name) => fields[name] ?? null);
    return values.includes(null) ? [] : [`unique ${names.join(" ")} ${canonicalJson(values)}`];
  });
}
