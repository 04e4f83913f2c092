import { AppError } from "../errors.ts";
import { dateReader } from "./dates.ts";
import { isObject, type JsonObject, kindOf, readableAs } from "./field-values.ts";

/** What an index knows of its fields, as Elasticsearch writes it; what is not looked at is kept as it was given. */
export interface Mapping {
  /** Whether fields that are new are added (the default), left alone, or refused. */
  readonly dynamic?: boolean | "true" | "false" | "strict";
  readonly properties?: Readonly<Record<string, FieldMapping>>;
}

export interface FieldMapping extends Mapping {
  readonly type?: string;
  /** Of dates. */
  readonly format?: string;
  /** Longer text is not found. */
  readonly ignore_above?: number;
  /** What counts where a document has `null`. */
  readonly null_value?: unknown;
  /** What is no value of the type is not found, instead of being refused. */
  readonly ignore_malformed?: boolean;
  /** The same values, taken in another way. */
  readonly fields?: Readonly<Record<string, FieldMapping>>;
}

const MAX_FIELDS = 1_000;
const MAX_DEPTH = 20;

/**
 * A mapping as it was sent.
 * @throws AppError document_index_invalid for fields of a type that cannot be searched here, and formats of dates that
 * cannot be read.
 */
export function readMapping(given: unknown): Mapping {
  if (given === undefined || given === null) return {};
  const mapping = checkedMapping(given, "");
  requireFewFields(mapping);
  return mapping;
}

function checkedMapping(given: unknown, path: string): Mapping {
  if (!isObject(given)) throw refused(`Expected map for property [${path || "_doc"}]`);
  const { dynamic = true, properties = {} } = given;
  if (![true, false, "true", "false", "strict"].some((known) => known === dynamic))
    throw refused(`Could not convert [${path}.dynamic] to one of true, false, strict`);
  checkFields(properties, path, "properties");
  return given;
}

function checkFields(given: unknown, path: string, what: string): void {
  if (!isObject(given)) throw refused(`Expected map for [${what}] on field [${path}]`);
  for (const [name, field] of Object.entries(given)) {
    const own = path === "" ? name : `${path}.${name}`;
    if (!isObject(field)) throw refused(`Expected map for property [fields] on field [${own}]`);
    checkField(field, own);
  }
}

function checkField(field: JsonObject, path: string): void {
  const { type = "object", format, fields = {} } = field;
  if (typeof type !== "string" || kindOf({ type }) === undefined)
    throw refused(`No handler for type [${String(type)}] declared on field [${path}]`);
  if (format !== undefined) dateReader(String(format));
  checkedMapping(field, path);
  checkFields(fields, path, "fields");
}

/**
 * The mapping with fields added; those that are there keep their type.
 * @throws AppError document_index_invalid when a field has another type already.
 */
export function extendedMapping(mapping: Mapping, added: Mapping): Mapping {
  const properties: Record<string, FieldMapping> = { ...mapping.properties };
  for (const [name, field] of Object.entries(added.properties ?? {})) {
    const own = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (own && (own.type ?? "object") !== (field.type ?? "object"))
      throw refused(`mapper [${name}] cannot be changed from type [${own.type}] to [${field.type}]`);
    properties[name] = own ? { ...own, ...field, ...extendedMapping(own, field) } : field;
  }
  const { dynamic = mapping.dynamic } = added;
  const extended = { ...mapping, ...(dynamic !== undefined && { dynamic }), properties };
  requireFewFields(extended);
  return extended;
}

function requireFewFields(mapping: Mapping): void {
  const count = ({ properties = {} }: Mapping): number =>
    Object.values(properties).reduce((sum, field) => sum + 1 + count(field), 0);
  if (count(mapping) <= MAX_FIELDS) return;
  const reason = `Limit of total fields [${MAX_FIELDS}] has been exceeded`;
  throw new AppError("document_index_invalid", { type: "illegal_argument_exception", reason });
}

const refused = (reason: string) =>
  new AppError("document_index_invalid", { type: "mapper_parsing_exception", reason });

/** The field at a path with dots; names may have dots themselves. */
export function fieldAt(mapping: Mapping, path: string): FieldMapping | undefined {
  for (let dot = path.length; dot > 0; dot = path.lastIndexOf(".", dot - 1)) {
    const [name, rest] = [path.slice(0, dot), path.slice(dot + 1)];
    const { properties = {} } = mapping;
    const field = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (!field) continue;
    if (rest === "") return field;
    const { fields = {} } = field;
    if (Object.hasOwn(fields, rest)) return fields[rest];
    return fieldAt(field, rest);
  }
  return undefined;
}

/**
 * The mapping with the fields that a document has and the index did not know, each with the type that its value shows.
 * @throws AppError document_invalid for values that are none of their field's type.
 */
export function mappingWith(mapping: Mapping, document: JsonObject, id: string, strict: boolean): Mapping {
  const grown = grow(mapping, document, "", { id, strict, dynamic: mapping.dynamic ?? true });
  if (grown !== mapping) requireFewFields(grown);
  return grown;
}

interface Growing {
  readonly id: string;
  readonly strict: boolean;
  readonly dynamic: NonNullable<Mapping["dynamic"]>;
}

function grow<M extends Mapping>(mapping: M, object: JsonObject, path: string, growing: Growing): M {
  if (path.split(".").length > MAX_DEPTH)
    throw misfit(`Limit of mapping depth [${MAX_DEPTH}] has been exceeded`, "illegal_argument_exception");
  let { properties = {} }: Mapping = mapping;
  for (const [name, value] of Object.entries(object)) {
    const own = path === "" ? name : `${path}.${name}`;
    for (const element of elementsOf(value)) {
      const field = Object.hasOwn(properties, name) ? properties[name] : added(element, own, growing);
      if (!field) continue;
      const grown = checkedField(field, element, own, growing);
      if (properties[name] !== grown) properties = { ...properties, [name]: grown };
    }
  }
  return properties === mapping.properties || Object.keys(properties).length === 0
    ? mapping
    : { ...mapping, properties };
}

/** Arrays are several values of their field; `null` is none. */
function* elementsOf(value: unknown): Generator<NonNullable<unknown>> {
  if (Array.isArray(value)) for (const element of value) yield* elementsOf(element);
  else if (value !== null && value !== undefined) yield value;
}

function added(value: NonNullable<unknown>, path: string, { dynamic }: Growing): FieldMapping | undefined {
  if (dynamic === "strict")
    throw misfit(
      `mapping set to strict, dynamic introduction of [${path}] within [_doc] is not allowed`,
      "strict_dynamic_mapping_exception",
    );
  return dynamic === true || dynamic === "true" ? shownBy(value) : undefined;
}

const DETECTED = dateReader("strict_date_optional_time||yyyy/MM/dd HH:mm:ss Z||yyyy/MM/dd Z||yyyy/MM/dd");

function shownBy(value: NonNullable<unknown>): FieldMapping {
  if (isObject(value)) return {};
  if (typeof value === "boolean") return { type: "boolean" };
  if (typeof value === "number") return { type: Number.isInteger(value) ? "long" : "float" };
  // A year alone may be any number.
  if (/[-:/]/.test(String(value)) && DETECTED(String(value)) !== undefined)
    return String(value).includes("/")
      ? { type: "date", format: "yyyy/MM/dd HH:mm:ss Z||yyyy/MM/dd Z||yyyy/MM/dd||epoch_millis" }
      : { type: "date" };
  return { type: "text", fields: { keyword: { type: "keyword", ignore_above: 256 } } };
}

function checkedField(field: FieldMapping, value: NonNullable<unknown>, path: string, growing: Growing): FieldMapping {
  const kind = kindOf(field);
  if (kind === "object") {
    if (!isObject(value))
      throw misfit(`object mapping for [${path}] tried to parse field [${path}] as object, but found a concrete value`);
    return grow(field, value, path, { ...growing, dynamic: field.dynamic ?? growing.dynamic });
  }
  if (kind !== undefined && !field.ignore_malformed && !readableAs(kind, field, value, growing.strict))
    throw misfit(
      `failed to parse field [${path}] of type [${field.type}] in document with id '${growing.id}'. Preview of field's value: '${preview(value)}'`,
    );
  return field;
}

const preview = (value: unknown) => (isObject(value) ? JSON.stringify(value) : String(value)).slice(0, 80);

const misfit = (reason: string, type = "document_parsing_exception") =>
  new AppError("document_invalid", { type, reason });
