import type { RecordData } from "../extractor.ts";
import { FLAG, listSchema, objectSchema, TEXT } from "../record-schema.ts";
import type { SimpleValue } from "./values.ts";

/** Values of one attribute that are given. */
export const MAX_VALUES = 100;
/** Of a record, whatever the attribute. */
const OVERHEAD_CHARS = 80;
const MAX_NAME_CHARS = 1000;
/** Of all attributes of a file together. */
const MAX_CHARS = 2_000_000;

const SIMPLE: RecordData = { type: ["string", "number", "null"] };

/** @param more that a format has of each attribute. */
export function attributeSchema(more: RecordData = {}): RecordData {
  return objectSchema({
    name: TEXT,
    type: TEXT,
    ...more,
    value: {
      anyOf: [SIMPLE, listSchema(SIMPLE)],
      description:
        "integers beyond 2^53, and what is no finite number, as text; null for what is neither number nor text",
    },
    isCut: { ...FLAG, description: "true when there are more values than are given" },
  });
}

export interface AttributeRecords {
  /** @param elements how many there are; `null` for one that stands alone. @returns nothing when it would be too much. */
  record(
    name: string,
    about: { readonly type: string } & RecordData,
    elements: number | null,
    read: (most: number) => readonly SimpleValue[],
  ): readonly RecordData[];
  /** Whether attributes were left out, as all together were too much for one file's record. */
  isCut(): boolean;
}

export function attributeRecords(): AttributeRecords {
  let left = MAX_CHARS;
  return {
    isCut: () => left <= 0,
    record(name, about, elements, read) {
      if (left <= 0) return [];
      const values = read(MAX_VALUES).map((value) => (typeof value === "string" ? value.toWellFormed() : value));
      left -= OVERHEAD_CHARS + name.length + about.type.length;
      for (const value of values) left -= typeof value === "string" ? value.length : 8;
      const value = elements === null ? (values[0] ?? null) : values;
      return [
        { name: name.slice(0, MAX_NAME_CHARS).toWellFormed(), ...about, value, isCut: values.length < (elements ?? 1) },
      ];
    },
  };
}
