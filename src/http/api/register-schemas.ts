import { z } from "zod";
import { isoTime } from "../../core/clock.ts";
import { AppError, type DetailValue } from "../../core/errors.ts";
import { type Declaration, fieldName, typedValue } from "../../core/registers/declaration.ts";
import type { DeclaredRegister } from "../../core/registers/declared-registers.ts";
import type { Entry, EntryEvent, Fields } from "../../core/registers/entry.ts";
import { timeOrNull } from "./schemas.ts";

const registerName = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, "is not the name of a register");
export const RegisterParams = z.strictObject({ register: registerName.describe("The register's name.") });
export const EntryParams = z.strictObject({
  register: registerName.describe("The register's name."),
  id: z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER).describe("The entry's id."),
});

const Time = z.iso.datetime().describe("ISO 8601 in UTC.");
const FieldsSchema = z.record(z.string(), z.unknown()).describe("By the names of the declaration.");
/** One line, to be shown to people. */
const Reason = z
  .string()
  .max(1_000)
  .regex(/^\P{Cc}*$/u, "expected text of one line");

export const RegisterSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    title: z.string(),
    source: z.enum(["file", "api"]).describe("Where it is declared."),
    revision: z.int(),
    declaration: z.record(z.string(), z.unknown()).describe("As it was given."),
  })
  .meta({ id: "Register" });

export function registerOnWire({ declaration, source, revision, text }: DeclaredRegister) {
  const { name, title } = declaration;
  return { id: name, name, title, source, revision, declaration: JSON.parse(text) as Record<string, unknown> };
}

export const EntrySchema = z
  .object({
    id: z.int().positive(),
    register: z.string(),
    owner: z.string(),
    status: z.string(),
    version: z.int().describe("Grows with every change."),
    attempts: z.int().describe("How often the action of its status was begun."),
    reason: z.string().nullable(),
    fields: FieldsSchema,
    job: z.int().nullable().describe("Of the action of its status, while it is to be done."),
    dueAt: Time.nullable().describe("When its status expires, or it is removed."),
    createdAt: Time,
    updatedAt: Time,
  })
  .meta({ id: "RegisterEntry" });

export function entryOnWire({ settled: _, ...entry }: Entry): z.output<typeof EntrySchema> {
  return {
    ...entry,
    fields: { ...entry.fields },
    dueAt: timeOrNull(entry.dueAt),
    createdAt: isoTime(entry.createdAt),
    updatedAt: isoTime(entry.updatedAt),
  };
}

export const EventSchema = z
  .object({
    id: z.int(),
    at: Time,
    actor: z.string().describe("`longshore`: it happened by itself."),
    from: z.string().nullable(),
    to: z.string().nullable().describe("null: it was removed."),
    reason: z.string().nullable(),
    changed: z.array(z.string()).describe("Names of the fields whose values changed."),
  })
  .meta({ id: "RegisterEvent" });

export function eventOnWire({ seq, at, changed, ...event }: EntryEvent): z.output<typeof EventSchema> {
  return { ...event, id: seq, at: isoTime(at), changed: [...changed] };
}

const Version = z.int().positive().exactOptional().describe("Only when the entry has this version.");
export const EntryBody = z.strictObject({ fields: FieldsSchema });
export const EntryChangeBody = z.strictObject({
  fields: FieldsSchema,
  version: Version,
  reason: Reason.exactOptional(),
});
export const StatusBody = z.strictObject({
  to: z.string().min(1).max(200),
  from: z.string().min(1).max(200).exactOptional().describe("Only when the entry has this status."),
  version: Version,
  reason: Reason.exactOptional(),
});

/** `name=value` pairs, typed. @throws AppError request_invalid. */
export function fieldFilter(declaration: Declaration, pairs: readonly string[]): Fields {
  const filter: Record<string, DetailValue> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    const name = pair.slice(0, Math.max(at, 0));
    const field = fieldName(declaration, name);
    if (at < 1 || field === undefined)
      throw new AppError("request_invalid", {
        expected: `name=value with one of ${declaration.fieldNames.join(", ")}`,
        found: pair.slice(0, 200),
      });
    filter[field] = typedValue(declaration, field, pair.slice(at + 1));
  }
  return filter;
}
