import { malformed } from "../malformed.ts";
import type { Fields } from "./fields.ts";

const MAX_DEPTH = 16;
/** A type's text: compounds of hundreds of members are cut. */
const MAX_TEXT_CHARS = 1000;
const MAX_MEMBERS = 10_000;

interface Sized {
  /** Of one value; of one that varies in length, of the pointer to it. */
  readonly sizeBytes: number;
}

export type Datatype = Sized &
  (
    | { readonly class: "integer"; readonly isSigned: boolean; readonly isBigEndian: boolean }
    | { readonly class: "float"; readonly isBigEndian: boolean }
    | { readonly class: "string"; readonly isSpacePadded: boolean }
    | { readonly class: "time" | "bits" | "opaque" | "complex" }
    | { readonly class: "reference"; readonly isRegion: boolean }
    | { readonly class: "compound"; readonly members: readonly CompoundMember[] }
    | { readonly class: "enum"; readonly base: Datatype; readonly names: readonly string[]; readonly values: Buffer }
    | { readonly class: "varying"; readonly base: Datatype; readonly isText: boolean }
    | { readonly class: "array"; readonly base: Datatype; readonly dims: readonly number[] }
  );

export interface CompoundMember {
  readonly name: string;
  readonly offset: number;
  readonly type: Datatype;
}

/** Datatype message (the specification, IV.A.2.d). */
export function readDatatype(fields: Fields, depth = 0): Datatype {
  if (depth > MAX_DEPTH) throw malformed("a type is made of types without end", fields.offset);
  const { offset } = fields;
  const first = fields.u8();
  const version = first >> 4;
  const bits = fields.u8() | (fields.u8() << 8) | (fields.u8() << 16);
  const sizeBytes = fields.u32();
  const isBigEndian = (bits & 1) !== 0;
  switch (first & 0x0f) {
    case 0:
      fields.skip(4);
      return { class: "integer", sizeBytes, isSigned: (bits & 8) !== 0, isBigEndian };
    case 1:
      fields.skip(12);
      return { class: "float", sizeBytes, isBigEndian };
    case 2:
      fields.skip(2);
      return { class: "time", sizeBytes };
    case 3:
      return { class: "string", sizeBytes, isSpacePadded: (bits & 0x0f) === 2 };
    case 4:
      fields.skip(4);
      return { class: "bits", sizeBytes };
    case 5:
      fields.skip(bits & 0xff);
      return { class: "opaque", sizeBytes };
    case 6:
      return { class: "compound", sizeBytes, members: membersOf(fields, version, bits & 0xffff, sizeBytes, depth) };
    case 7:
      return { class: "reference", sizeBytes, isRegion: (bits & 0x0f) === 1 || (bits & 0x0f) === 3 };
    case 8: {
      const base = readDatatype(fields, depth + 1);
      const names = Array.from({ length: bits & 0xffff }, () => fields.text(version < 3 ? 8 : 1));
      return { class: "enum", sizeBytes, base, names, values: fields.take(names.length * base.sizeBytes) };
    }
    case 9:
      return { class: "varying", sizeBytes, isText: (bits & 0x0f) === 1, base: readDatatype(fields, depth + 1) };
    case 10: {
      const rank = fields.u8();
      if (version < 3) fields.skip(3);
      const dims = Array.from({ length: rank }, () => fields.u32());
      if (version < 3) fields.skip(4 * rank);
      return { class: "array", sizeBytes, dims, base: readDatatype(fields, depth + 1) };
    }
    case 11:
      readDatatype(fields, depth + 1);
      return { class: "complex", sizeBytes };
    default:
      throw malformed(`a type of class ${first & 0x0f} is not known`, offset);
  }
}

function membersOf(fields: Fields, version: number, count: number, sizeBytes: number, depth: number) {
  if (count > MAX_MEMBERS) throw malformed(`a compound of ${count} members`, fields.offset);
  const offsetBytes = sizeBytes < 2 ** 8 ? 1 : sizeBytes < 2 ** 16 ? 2 : sizeBytes < 2 ** 24 ? 3 : 4;
  return Array.from({ length: count }, (): CompoundMember => {
    const name = fields.text(version < 3 ? 8 : 1);
    const offset = version < 3 ? fields.u32() : fields.sized(offsetBytes);
    if (version > 1) return { name, offset, type: readDatatype(fields, depth + 1) };
    // Members that are arrays, before there was a type for that.
    const rank = fields.u8();
    fields.skip(11);
    const dims = Array.from({ length: 4 }, () => fields.u32()).slice(0, rank);
    const type = readDatatype(fields, depth + 1);
    const elements = dims.reduce((product, dim) => product * dim, 1);
    return {
      name,
      offset,
      type: rank === 0 ? type : { class: "array", sizeBytes: type.sizeBytes * elements, dims, base: type },
    };
  });
}

/** In words: `int32`, `float64be`, `string`, `string[8]`, `enum(int8){FALSE,TRUE}`, `compound{x:float64,y:int32}`. */
export function typeText(type: Datatype): string {
  const text = fullText(type);
  return (text.length > MAX_TEXT_CHARS ? `${text.slice(0, MAX_TEXT_CHARS)}…` : text).toWellFormed();
}

function fullText(type: Datatype): string {
  const bits = type.sizeBytes * 8;
  switch (type.class) {
    case "integer":
      return `${type.isSigned ? "" : "u"}int${bits}${type.isBigEndian && bits > 8 ? "be" : ""}`;
    case "float":
      return `float${bits}${type.isBigEndian ? "be" : ""}`;
    case "string":
      return `string[${type.sizeBytes}]`;
    case "time":
    case "bits":
    case "complex":
      return `${type.class}${bits}`;
    case "opaque":
      return `opaque[${type.sizeBytes}]`;
    case "reference":
      return type.isRegion ? "region reference" : "reference";
    case "compound":
      return `compound{${listed(type.members.map(({ name, type }) => `${name}:${fullText(type)}`))}}`;
    case "enum":
      return `enum(${fullText(type.base)}){${listed(type.names)}}`;
    case "varying":
      return type.isText ? "string" : `list(${fullText(type.base)})`;
    case "array":
      return `${fullText(type.base)}[${type.dims.join(",")}]`;
  }
}

/** More are cut anyway. */
function listed(words: readonly string[]): string {
  return words.slice(0, MAX_TEXT_CHARS).join(",");
}
