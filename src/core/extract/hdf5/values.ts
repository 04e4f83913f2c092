import { isUtf8 } from "node:buffer";
import type { Datatype } from "./datatype.ts";
import { Fields } from "./fields.ts";
import { globalHeapObject } from "./global-heap.ts";
import type { Hdf5Source } from "./source.ts";

/** Of one text. */
export const MAX_TEXT_BYTES = 8192;

/** What JSON can say of a value: `null` for those that are no text and no number. */
export type SimpleValue = string | number | null;

/** One value of a type. Names of an `enum` stand for its values. */
export function readValue(source: Hdf5Source, type: Datatype, bytes: Buffer): SimpleValue {
  switch (type.class) {
    case "integer":
      return integerOf(bytes, type.isSigned, type.isBigEndian);
    case "bits":
    case "time":
      return integerOf(bytes, false, false);
    case "float":
      return floatOf(bytes, type.isBigEndian);
    case "string":
      return fixedText(bytes, type.isSpacePadded);
    case "enum": {
      const size = type.base.sizeBytes;
      const index = type.names.findIndex((_, i) => type.values.subarray(i * size, (i + 1) * size).equals(bytes));
      return type.names[index]?.toWellFormed() ?? readValue(source, type.base, bytes);
    }
    case "varying":
      return type.isText ? varyingText(source, bytes) : null;
    default:
      return null;
  }
}

/** Integers beyond 2^53 are written in decimal: as numbers, they would be others. */
function integerOf(bytes: Buffer, isSigned: boolean, isBigEndian: boolean): SimpleValue {
  const size = bytes.length;
  if (size === 0 || size > 8) return null;
  if (size <= 6) {
    if (isBigEndian) return isSigned ? bytes.readIntBE(0, size) : bytes.readUIntBE(0, size);
    return isSigned ? bytes.readIntLE(0, size) : bytes.readUIntLE(0, size);
  }
  const ordered = isBigEndian ? bytes : Buffer.from(bytes).reverse();
  const unsigned = BigInt(`0x${ordered.toString("hex")}`);
  return exactInteger(isSigned ? BigInt.asIntN(8 * size, unsigned) : unsigned);
}

export function exactInteger(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

function floatOf(bytes: Buffer, isBigEndian: boolean): SimpleValue {
  if (bytes.length === 8) return jsonNumber(isBigEndian ? bytes.readDoubleBE() : bytes.readDoubleLE());
  if (bytes.length === 4) return float32(isBigEndian ? bytes.readFloatBE() : bytes.readFloatLE());
  if (bytes.length !== 2) return null;
  const half = isBigEndian ? bytes.readUInt16BE() : bytes.readUInt16LE();
  const [exponent, fraction] = [(half >> 10) & 0x1f, half & 0x3ff];
  const size =
    exponent === 0
      ? fraction * 2 ** -24
      : exponent === 0x1f
        ? fraction === 0
          ? Number.POSITIVE_INFINITY
          : Number.NaN
        : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return jsonNumber(half & 0x8000 ? -size : size);
}

/** What JSON has no numbers for, in words; minus zero, which it has not either, as zero. */
export function jsonNumber(value: number): number | string {
  return Number.isFinite(value) ? value + 0 : String(value);
}

/** A number that was written with 32 bits, in the fewest digits that mean it: 1e20, and not 100000002004087730000. */
export function float32(value: number): number | string {
  for (let digits = 6; digits < 9; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return shorter + 0;
  }
  return jsonNumber(value);
}

function fixedText(bytes: Buffer, isSpacePadded: boolean): string {
  const end = bytes.indexOf(0);
  const text = textOfBytes(end < 0 ? bytes : bytes.subarray(0, end));
  return isSpacePadded ? text.trimEnd() : text;
}

/** The specification, IV.B: length, and where the text lies. */
function varyingText(source: Hdf5Source, bytes: Buffer): string | null {
  const fields = new Fields(bytes, 0);
  const length = fields.u32();
  const collection = fields.sizedOrNone(source.addressBytes);
  const index = fields.u32();
  if (collection === undefined || collection === 0) return length === 0 ? "" : null;
  return fixedText(globalHeapObject(source, collection, index, Math.min(length, MAX_TEXT_BYTES)), false);
}

/** UTF-8; what is none is older than UTF-8, and most likely Latin-1. */
export function textOfBytes(bytes: Buffer): string {
  const cut = bytes.subarray(0, MAX_TEXT_BYTES);
  return bytes.length > cut.length || isUtf8(cut) ? cut.toString("utf8") : cut.toString("latin1");
}
