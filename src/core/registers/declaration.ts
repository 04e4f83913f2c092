import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import { isoTime } from "../clock.ts";
import { AppError, type Details, type DetailValue } from "../errors.ts";
import { isMailAddress } from "../notify/address.ts";
import { type Action, DECLARATION, type DeclarationForm, type Status } from "./declaration-form.ts";
import { placesIn } from "./places.ts";
import { type EntryView, VIEW_COLUMNS } from "./register-store.ts";

/** A declaration that holds together. */
export interface Declaration extends DeclarationForm {
  /** The names of fields, in order. */
  readonly fieldNames: readonly string[];
  readonly view: EntryView | null;
  /** Says what is wrong with the fields of an entry; fills in defaults. */
  readonly validate: ValidateFunction;
}

/** What clients send beside fields: no field may have these names. */
export const RESERVED = ["status", "version", "attempts", "reason", "owner", "createdAt", "updatedAt", "from"] as const;
const PROBLEMS_TOLD = 50;

/** One thing wrong with a declaration: where in it, and what. */
interface Fault {
  readonly at: string;
  readonly message: string;
}

/** @param file names it in messages. @throws AppError register_invalid, with `details.problems`: everything that is wrong. */
export function readDeclaration(json: string, file: string): Declaration {
  const refused = (problems: readonly Fault[], cause?: unknown) =>
    new AppError(
      "register_invalid",
      {
        file,
        at: problems[0]?.at ?? "",
        reason: problems[0]?.message ?? "",
        problems: problems.slice(0, PROBLEMS_TOLD).map((one) => ({ ...one })),
      },
      { cause },
    );
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw refused([{ at: "", message: `it is no JSON: ${(cause as Error).message}` }], cause);
  }
  const parsed = DECLARATION.safeParse(value);
  if (!parsed.success)
    throw refused(
      parsed.error.issues.map(({ path, message }) => ({ at: path.join("."), message })),
      parsed.error,
    );
  const form = parsed.data;
  const faults = [...faultsOf(form)];
  const validate = compiled(form, faults);
  if (faults.length > 0 || !validate) throw refused(faults);
  const fieldNames = Object.keys(form.fields);
  return { ...form, fieldNames, view: viewOf(form, fieldNames), validate };
}

/** What the shape alone does not say: names that are used must be declared. */
function* faultsOf(form: DeclarationForm): Generator<Fault> {
  const { fields, statuses, aliases, unique, required, initial, sqliteView, legacy } = form;
  const isField = (name: string) => Object.hasOwn(fields, name);
  const isStatus = (name: string) => Object.hasOwn(statuses, name);
  const noField = (at: string, name: string): Fault => ({ at, message: `there is no field "${name}"` });
  const noStatus = (at: string, name: string): Fault => ({ at, message: `there is no status "${name}"` });

  for (const name of Object.keys(fields))
    if ((RESERVED as readonly string[]).includes(name))
      yield { at: `fields.${name}`, message: "every entry has something of this name; give the field another" };
  for (const [at, name] of required.entries()) if (!isField(name)) yield noField(`required.${at}`, name);
  for (const [alias, name] of Object.entries(aliases)) {
    if (!isField(name)) yield noField(`aliases.${alias}`, name);
    if (isField(alias) || (RESERVED as readonly string[]).includes(alias))
      yield { at: `aliases.${alias}`, message: "it is another thing's name already" };
  }
  for (const [at, names] of unique.entries())
    for (const name of names) if (!isField(name)) yield noField(`unique.${at}`, name);
  if (typeof sqliteView === "object")
    for (const [at, name] of sqliteView.columns.entries())
      if (!isField(name) && !(VIEW_COLUMNS as readonly string[]).includes(name))
        yield noField(`sqliteView.columns.${at}`, name);
  for (const [at, names] of (legacy?.deleteBy ?? []).entries())
    for (const name of names) if (!isField(name)) yield noField(`legacy.deleteBy.${at}`, name);
  if (!isStatus(initial)) yield noStatus("initial", initial);

  for (const [name, status] of Object.entries(statuses)) {
    const at = `statuses.${name}`;
    for (const next of Object.keys(status.next)) if (!isStatus(next)) yield noStatus(`${at}.next`, next);
    if (status.expires && !isStatus(status.expires.to)) yield noStatus(`${at}.expires.to`, status.expires.to);
    if (status.expires && status.keep !== undefined)
      yield { at: `${at}.keep`, message: "a status either expires, or its entries are removed" };
    if (status.mail) yield* unknownPlaces(form, `${at}.mail`, status.mail);
    if (status.action) yield* faultsOfAction(form, `${at}.action`, name, status.action);
  }
}

function* faultsOfAction(form: DeclarationForm, at: string, own: string, action: Action): Generator<Fault> {
  const { statuses, fields } = form;
  for (const role of ["during", "success", "failure", "cancelled", "otherwise", "missing"] as const) {
    const name = role === "missing" ? (action.do === "command" ? action.missing : undefined) : action[role];
    if (name === undefined) continue;
    if (!Object.hasOwn(statuses, name)) yield { at: `${at}.${role}`, message: `there is no status "${name}"` };
    else if (name === own) yield { at: `${at}.${role}`, message: "it is the status that the action belongs to" };
  }
  if (action.during !== undefined && statuses[action.during]?.action)
    yield { at: `${at}.during`, message: "a status in which an action is done has none of its own" };
  if ((action.when === undefined) !== (action.otherwise === undefined))
    yield { at: `${at}.otherwise`, message: "expected together with when, and neither without the other" };
  for (const name of [...Object.keys(action.when ?? {}), ...(action.notBefore ? [action.notBefore.field] : [])])
    if (!Object.hasOwn(fields, name)) yield { at, message: `there is no field "${name}"` };
  if (action.do === "command" && action.removeInput && !(action.input && action.output))
    yield { at: `${at}.removeInput`, message: "expected with input and output alone" };
  yield* unknownPlaces(form, at, action, action.do === "command" ? COMMAND_PLACES : []);
}

/** What a command is told beside fields: absolute paths. */
export const COMMAND_PLACES = ["folder", "input", "output"] as const;

/** Places of templates, wherever they are in a part of the declaration. */
function* unknownPlaces(
  form: DeclarationForm,
  at: string,
  part: unknown,
  others: readonly string[] = [],
): Generator<Fault> {
  if (typeof part === "string") {
    for (const { whole, name, isKnown } of placesIn(part))
      if (!isKnown(form.fields) && !others.includes(name))
        yield { at, message: `there is no place ${whole}: no field is called "${name}"` };
  } else if (typeof part === "object" && part !== null)
    for (const [name, value] of Object.entries(part)) yield* unknownPlaces(form, `${at}.${name}`, value, others);
}

const DATE = /^\d{4}-\d\d-\d\d$/;

/** Whether a text is a day of the calendar, `YYYY-MM-DD`. */
export function isDate(text: string): boolean {
  const at = DATE.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return !Number.isNaN(at) && isoTime(at).startsWith(text);
}

/** Of the JSON Schema vocabulary "format", those that are checked. */
const FORMATS = {
  date: isDate,
  "date-time": (text: string) => /^\d{4}-\d\d-\d\dT/.test(text) && !Number.isNaN(Date.parse(text)),
  email: isMailAddress,
  uri: (text: string) => URL.canParse(text),
};

/** Strict: a misspelt keyword checks nothing. */
function checker(useDefaults: boolean): Ajv2020 {
  const ajv = new Ajv2020({ allErrors: true, useDefaults, strictTypes: false, strictTuples: false, logger: false });
  for (const [format, judge] of Object.entries(FORMATS)) ajv.addFormat(format, judge);
  return ajv;
}

function compiled({ fields, required }: DeclarationForm, faults: Fault[]): ValidateFunction | undefined {
  const properties: Record<string, object> = {};
  // One by one first, so that what is wrong has its place. By itself, a field's default is no default of anything.
  const single = checker(false);
  for (const [name, { label: _, age, ...schema }] of Object.entries(fields)) {
    properties[name] = schema;
    if (age && schema.format !== "date")
      faults.push({ at: `fields.${name}.age`, message: 'expected with "format": "date" alone' });
    try {
      if ("$async" in schema) throw new Error("$async is not possible here");
      single.compile(schema);
    } catch (error) {
      faults.push({ at: `fields.${name}`, message: `it is no JSON Schema: ${(error as Error).message}` });
    }
  }
  if (faults.length > 0) return undefined;
  return checker(true).compile({ type: "object", properties, required, additionalProperties: false });
}

function viewOf({ sqliteView }: DeclarationForm, fieldNames: readonly string[]): EntryView | null {
  if (sqliteView === undefined) return null;
  if (typeof sqliteView === "object") return sqliteView;
  return { name: sqliteView, columns: [...fieldNames, "status", "date"] };
}

/** Said of a required field that was not sent. */
export const NOT_GIVEN = "must be given";

/** What ajv found wrong, as sentences by field. */
export function fieldProblems(errors: readonly ErrorObject[] | null | undefined): readonly Details[] {
  return (errors ?? []).slice(0, PROBLEMS_TOLD).map(({ instancePath, message, params }) => {
    const missing: unknown = params.missingProperty ?? params.additionalProperty;
    const path = instancePath.slice(1) || (typeof missing === "string" ? missing : "");
    const isAbsent = instancePath === "" && typeof params.missingProperty === "string";
    const known = typeof params.additionalProperty === "string" ? "there is no field of this name" : message;
    const allowed: unknown = params.allowedValues;
    const choices = Array.isArray(allowed) ? `: ${allowed.map(String).join(", ")}` : "";
    return { field: path, message: isAbsent ? NOT_GIVEN : `${known ?? "is not valid"}${choices}` };
  });
}

export function statusOf(declaration: Pick<Declaration, "statuses">, name: string): Status | undefined {
  return Object.hasOwn(declaration.statuses, name) ? declaration.statuses[name] : undefined;
}

/** The field that a client means. */
export function fieldName({ aliases, fields }: Declaration, name: string): string | undefined {
  if (Object.hasOwn(fields, name)) return name;
  return Object.hasOwn(aliases, name) ? aliases[name] : undefined;
}

/** Text, as an address or a CSV file has it, as a value of the field's type; text when it is none. */
export function typedValue({ fields }: Declaration, field: string, text: string): DetailValue {
  const { type } = fields[field] ?? {};
  const types: readonly unknown[] = Array.isArray(type) ? type : [type];
  if (types.includes("string")) return text;
  const number = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  if (types.includes("integer") && Number.isSafeInteger(number)) return number;
  if (types.includes("number") && Number.isFinite(number)) return number;
  if (types.includes("boolean") && (text === "true" || text === "false")) return text === "true";
  if (types.includes("array") || types.includes("object")) return parsedOrText(text);
  return text;
}

function parsedOrText(text: string): DetailValue {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
