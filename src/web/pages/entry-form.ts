import type { AppError, DetailValue } from "../../core/errors.ts";
import type { Declaration } from "../../core/registers/declaration.ts";
import type { Fields } from "../../core/registers/entry.ts";
import type { Sent } from "../../core/registers/registers.ts";
import { type Control, type FormField, formRow, linesOf, type Typed } from "../form-field.ts";
import { type Html, html } from "../html.ts";
import type { Reader } from "../layout.ts";

/** Controls of fields have names of their own: a field may be called as the form calls something else. */
export const controlName = (field: string): string => `field.${field}`;

/** Texts that are longer than this get more than a line. */
const LINE_CHARACTERS = 500;
const DAY_MS = 86_400_000;

type Schema = Declaration["fields"][string];

export const labelOf = ({ fields }: Declaration, field: string): string => fields[field]?.label ?? field;

/** As it is typed: text as it is, everything else as JSON. */
export function valueText(value: DetailValue | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The fields of an entry, or its defaults, as they are typed. */
export function typedFields({ fieldNames, fields }: Declaration, entry?: Fields): Typed {
  const value = (field: string) => (entry ? entry[field] : (fields[field]?.default as DetailValue | undefined));
  return Object.fromEntries(fieldNames.map((field) => [controlName(field), valueText(value(field))]));
}

/** What a form has sent, as the register is told it. @param earlier a value that was not touched stays what it is. */
export function sentFields({ fieldNames, fields }: Declaration, typed: Typed, earlier: Fields = {}): Sent {
  const sent: Record<string, DetailValue> = {};
  for (const field of fieldNames) {
    const text = linesOf(typed[controlName(field)]);
    const before = earlier[field];
    if (before !== undefined && text === valueText(before)) sent[field] = before;
    else if (text !== "") sent[field] = choicesOf(fields[field] ?? {})?.find((one) => valueText(one) === text) ?? text;
  }
  return sent;
}

/** What is wrong, by the names of controls; what is about none of them is under "". */
export function problemsOf(error: AppError): Typed {
  const { problems, field, reason } = error.details;
  const list = Array.isArray(problems) ? problems : [{ field: field ?? "", message: reason ?? error.message }];
  const found: Record<string, string> = {};
  for (const one of list as readonly Fields[]) {
    const [name = ""] = String(one.field ?? "").split("/");
    const key = name === "" ? "" : controlName(name);
    found[key] = [found[key], String(one.message ?? "")].filter(Boolean).join("; ");
  }
  return found;
}

/** All fields of the declaration, each as fits its type. */
export function entryFields(reader: Reader, declaration: Declaration, typed: Typed, problems: Typed = {}): Html {
  const rows = declaration.fieldNames.map((field) => {
    const name = controlName(field);
    return formRow(reader, entryField(reader, declaration, field, typed[name] ?? ""), typed, problems[name]);
  });
  return html`${rows}`;
}

function entryField(reader: Reader, declaration: Declaration, field: string, value: string): FormField {
  const schema = declaration.fields[field] ?? {};
  return {
    name: controlName(field),
    label: labelOf(declaration, field),
    isRequired: declaration.required.includes(field),
    hint: hintOf(reader, schema),
    control: controlOf(reader, schema, value),
  };
}

/** Of a field of the filter: any value, or one of those it may have. */
export function filterField({ say }: Reader, declaration: Declaration, field: string): FormField {
  const schema = declaration.fields[field] ?? {};
  const choices = choicesOf(schema) ?? (typesOf(schema).includes("boolean") ? [true, false] : undefined);
  const shown = choices?.map((one) => [valueText(one), valueText(one)] as const);
  return {
    name: controlName(field),
    label: labelOf(declaration, field),
    control: shown
      ? { kind: "choice", choices: [["", say("register.any")], ...shown] }
      : { kind: "input", ...(schema.format === "date" && { type: "date" }) },
  };
}

function controlOf({ say }: Reader, schema: Schema, value: string): Control {
  const types = typesOf(schema);
  const choices = choicesOf(schema);
  if (choices) {
    const shown = choices.map((one) => [valueText(one), valueText(one)] as const);
    return { kind: "choice", choices: [["", `(${say("entry.choose")})`], ...shown] };
  }
  if (types.includes("boolean") && !types.includes("string"))
    return {
      kind: "choice",
      choices: [
        ["", `(${say("entry.choose")})`],
        ["true", say("entry.yes")],
        ["false", say("entry.no")],
      ],
    };
  if (types.includes("array") || types.includes("object")) return { kind: "text", rows: 4, isCode: true };
  const most = numberIn(schema, "maxLength");
  if (types.includes("integer") || types.includes("number"))
    return {
      kind: "input",
      type: "number",
      min: numberIn(schema, "minimum"),
      max: numberIn(schema, "maximum"),
      step: types.includes("number") ? "any" : "1",
    };
  if ((most ?? 0) > LINE_CHARACTERS || value.includes("\n")) return { kind: "text", rows: 5 };
  const type = { email: "email", uri: "url", date: "date" } as const;
  const format = schema.format as keyof typeof type;
  return { kind: "input", type: Object.hasOwn(type, format) ? type[format] : "text", maxLength: most };
}

function hintOf({ say }: Reader, schema: Schema): string | undefined {
  const types = typesOf(schema);
  const { description, pattern, format, age } = schema;
  const isText = types.includes("string") && !choicesOf(schema);
  const hints = [
    typeof description === "string" && description,
    isText && rangeHint(schema, "minLength", "maxLength", ["entry.hintLength", "entry.hintLeast", "entry.hintMost"]),
    rangeHint(schema, "minimum", "maximum", ["entry.hintRange", "entry.hintFrom", "entry.hintUntil"]),
    typeof pattern === "string" && say("entry.hintPattern", { pattern }),
    format === "date-time" && say("entry.hintDateTime"),
    age?.most !== undefined && say("entry.hintOld", { most: Number((age.most / DAY_MS).toFixed(2)) }),
    (types.includes("array") || types.includes("object")) && say("entry.hintJson"),
  ];
  return hints.filter(Boolean).join(" · ") || undefined;

  function rangeHint(
    of: Schema,
    least: string,
    most: string,
    [both, from, until]: readonly [
      "entry.hintLength" | "entry.hintRange",
      "entry.hintLeast" | "entry.hintFrom",
      "entry.hintMost" | "entry.hintUntil",
    ],
  ): string | undefined {
    const bounds = { least: numberIn(of, least), most: numberIn(of, most) };
    // That something must be there is said already.
    const hasLeast = bounds.least !== undefined && !(least === "minLength" && bounds.least <= 1);
    if (hasLeast && bounds.most !== undefined) return say(both, { least: Number(bounds.least), most: bounds.most });
    if (hasLeast) return say(from, { least: Number(bounds.least) });
    return bounds.most === undefined ? undefined : say(until, { most: bounds.most });
  }
}

const typesOf = ({ type }: Schema): readonly unknown[] => (Array.isArray(type) ? type : [type]);
/** `null` is what is not chosen. */
const choicesOf = (schema: Schema): readonly DetailValue[] | undefined =>
  Array.isArray(schema.enum) ? (schema.enum as readonly DetailValue[]).filter((one) => one !== null) : undefined;
function numberIn(schema: Schema, keyword: string): number | undefined {
  const value = schema[keyword];
  return typeof value === "number" ? value : undefined;
}
