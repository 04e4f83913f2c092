import type { RecordData } from "./extractor.ts";

export const TEXT: RecordData = { type: "string" };
export const COUNT: RecordData = { type: "integer", minimum: 0 };
export const NUMBER: RecordData = { type: "number" };
export const FLAG: RecordData = { type: "boolean" };

/** An object with these members and no others. @param optional those that may be absent. */
export function objectSchema(properties: RecordData, optional: readonly string[] = []): RecordData {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, required, additionalProperties: false };
}

export function listSchema(items: RecordData): RecordData {
  return { type: "array", items };
}

export function orNull(schema: RecordData): RecordData {
  return { anyOf: [schema, { type: "null" }] };
}

/** An object whose members have names of the file's own. */
export function mapSchema(values: RecordData): RecordData {
  return { type: "object", additionalProperties: values };
}
