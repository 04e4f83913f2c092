import { type ExactBytes, exactBytes } from "../exact-bytes.ts";
import { exactInteger, float32, jsonNumber, MAX_TEXT_BYTES, type SimpleValue, textOfBytes } from "../hdf5/values.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";
import type { NetcdfAttribute, NetcdfDimension, NetcdfFile, NetcdfFormat, NetcdfVariable } from "./netcdf-file.ts";

/** "The specification" is the NetCDF Classic Format Specification, with CDF-2 and CDF-5. */
const FORMATS: Readonly<Record<number, NetcdfFormat>> = { 1: "classic", 2: "64-bit offset", 5: "cdf5" };

/** Tags of the header's lists. */
const DIMENSIONS = 0x0a;
const VARIABLES = 0x0b;
const ATTRIBUTES = 0x0c;

/** Longer lists are no header: the shortest entry of one takes 8 bytes. */
const MAX_ENTRIES = 1_000_000;
/** Names and entries that are kept, of variables and of attributes. */
const MAX_KEPT = 5000;
const MAX_NAME_BYTES = 4096;
const MAX_RANK = 1024;

interface ClassicType {
  readonly name: string;
  readonly sizeBytes: number;
  /** Big-endian. */
  read(bytes: Buffer): SimpleValue;
}

const classicType = (name: string, sizeBytes: number, read: ClassicType["read"]): ClassicType => ({
  name,
  sizeBytes,
  read,
});

/** By number (nc_type); those from 7 on are of CDF-5. */
const TYPES: Readonly<Record<number, ClassicType>> = {
  1: classicType("byte", 1, (bytes) => bytes.readInt8()),
  2: classicType("char", 1, (bytes) => bytes.toString("latin1")),
  3: classicType("short", 2, (bytes) => bytes.readInt16BE()),
  4: classicType("int", 4, (bytes) => bytes.readInt32BE()),
  5: classicType("float", 4, (bytes) => float32(bytes.readFloatBE())),
  6: classicType("double", 8, (bytes) => jsonNumber(bytes.readDoubleBE())),
  7: classicType("ubyte", 1, (bytes) => bytes.readUInt8()),
  8: classicType("ushort", 2, (bytes) => bytes.readUInt16BE()),
  9: classicType("uint", 4, (bytes) => bytes.readUInt32BE()),
  10: classicType("int64", 8, (bytes) => exactInteger(bytes.readBigInt64BE())),
  11: classicType("uint64", 8, (bytes) => exactInteger(bytes.readBigUInt64BE())),
};

export interface ClassicFile extends NetcdfFile {
  /** Of data that the header places behind the file's end. */
  readonly missingBytes: number;
}

/** Reads the header of a netCDF-3 file, and nothing of its data. @throws AppError content_malformed. */
export function readClassic(local: LocalBytes): ClassicFile {
  const header = headerReader(exactBytes(local));
  const format = FORMATS[header.version];
  if (format === undefined) throw malformed(`CDF version ${header.version} is not known`);
  // All bits set: still being written, as many records as there is data.
  const records = header.records();
  let isCut = false;

  const sizes: number[] = [];
  const names: string[] = [];
  for (let left = header.list(DIMENSIONS); left > 0; left--) {
    names.push(header.name());
    sizes.push(header.count());
    if (names.length > MAX_ENTRIES / 10) throw malformed("it has too many dimensions", header.at());
  }
  const globals = attributes();
  const variables: (NetcdfVariable & Placed)[] = [];
  const placed: Placed[] = [];
  for (let left = header.list(VARIABLES); left > 0; left--) {
    const name = header.name();
    const rank = header.count();
    if (rank > MAX_RANK) throw malformed(`a variable of ${rank} dimensions`, header.at());
    const ids = Array.from({ length: rank }, () => header.count());
    const own = attributes();
    const { name: type, sizeBytes } = header.type();
    // Its size as the header says is wrong for large ones, by design; it follows from the dimensions.
    header.count();
    const begin = header.offset();
    const shape = ids.map((id) => {
      const size = sizes[id];
      if (size === undefined) throw malformed(`dimension ${id} is not declared`, header.at());
      return size;
    });
    const isRecord = shape[0] === 0;
    const values = (isRecord ? shape.slice(1) : shape).reduce((product, size) => product * size, 1);
    const place = { begin, sliceBytes: values * sizeBytes, isRecord };
    placed.push(place);
    if (variables.length === MAX_KEPT) isCut = true;
    else {
      const dimensions = ids.map((id) => names[id] ?? null);
      variables.push({
        group: "/",
        name,
        type,
        dimensions,
        shape,
        chunks: null,
        filters: [],
        attributes: own,
        ...place,
      });
    }
  }

  const { recordCount, missingBytes } = extent(placed, records, local.sizeBytes);
  const dimensions = names.slice(0, MAX_KEPT).map((name, i): NetcdfDimension => {
    const size = sizes[i] ?? 0;
    return { group: "/", name, size: size === 0 ? recordCount : size, isUnlimited: size === 0 };
  });
  return {
    format,
    madeBy: null,
    groups: [{ path: "/", attributes: globals }],
    dimensions,
    variables: variables.map(({ begin: _, sliceBytes: __, isRecord, ...variable }) =>
      isRecord ? { ...variable, shape: [recordCount, ...variable.shape.slice(1)] } : variable,
    ),
    isCut: isCut || names.length > MAX_KEPT,
    missingBytes,
  };

  function attributes(): readonly NetcdfAttribute[] {
    const found: NetcdfAttribute[] = [];
    for (let left = header.list(ATTRIBUTES); left > 0; left--) {
      const name = header.name();
      const type = header.type();
      const elements = header.count();
      const values = header.values(type, elements);
      if (found.length === MAX_KEPT) isCut = true;
      else found.push({ name, type: type.name, elements: type.name === "char" ? null : elements, values });
    }
    return found;
  }
}

interface Placed {
  readonly begin: number;
  /** Of one record, or of all there is. */
  readonly sliceBytes: number;
  readonly isRecord: boolean;
}

/** Records lie one after the other, a slice of each record variable in each; slices are padded to fours unless there is but one. */
function extent(placed: readonly Placed[], records: number | undefined, sizeBytes: number) {
  const recordVariables = placed.filter(({ isRecord }) => isRecord);
  const padded = ({ sliceBytes }: Placed) => Math.ceil(sliceBytes / 4) * 4;
  const [only] = recordVariables;
  const recordBytes =
    recordVariables.length === 1 && only ? only.sliceBytes : recordVariables.reduce((sum, one) => sum + padded(one), 0);
  const first = recordVariables.reduce((least, { begin }) => Math.min(least, begin), Number.POSITIVE_INFINITY);
  const recordCount = records ?? (recordBytes > 0 ? Math.max(0, Math.floor((sizeBytes - first) / recordBytes)) : 0);
  let end = 0;
  for (const { begin, sliceBytes, isRecord } of placed) {
    const length = isRecord ? (recordCount === 0 ? 0 : (recordCount - 1) * recordBytes + sliceBytes) : sliceBytes;
    if (length > 0) end = Math.max(end, begin + length);
  }
  return { recordCount, missingBytes: Math.max(0, end - sizeBytes) };
}

/** The header's fields, one after the other, big-endian; counts take 8 bytes in CDF-5. */
function headerReader(bytes: ExactBytes) {
  const start = bytes.read(0, 4);
  if (start.toString("latin1", 0, 3) !== "CDF") throw malformed("it does not begin as netCDF does");
  const version = start[3] ?? 0;
  const countBytes = version === 5 ? 8 : 4;
  let at = 4;

  function number(size: number): number {
    const field = bytes.read(at, size);
    at += size;
    const value = size === 4 ? field.readUInt32BE() : field.readUInt32BE() * 2 ** 32 + field.readUInt32BE(4);
    if (!Number.isSafeInteger(value)) throw malformed("a number is impossible", at - size);
    return value;
  }
  const count = () => number(countBytes);
  const padded = (length: number) => Math.ceil(length / 4) * 4;

  return {
    version,
    at: () => at,
    count,
    offset: () => number(version === 1 ? 4 : 8),
    records(): number | undefined {
      const field = bytes.read(at, countBytes);
      if (field.some((byte) => byte !== 0xff)) return count();
      at += countBytes;
      return undefined;
    },
    name(): string {
      const length = count();
      const text = textOfBytes(bytes.read(at, Math.min(length, MAX_NAME_BYTES)));
      at += padded(length);
      return text.toWellFormed();
    },
    type(): ClassicType {
      const id = number(4);
      const type = TYPES[id];
      if (type === undefined || (id > 6 && version !== 5)) throw malformed(`type ${id} is not known`, at - 4);
      return type;
    },
    /** How many entries follow; a list without any may be left out. */
    list(tag: number): number {
      const found = number(4);
      const entries = count();
      if (found === 0 && entries === 0) return 0;
      if (found !== tag) throw malformed(`list ${found} is where list ${tag} should be`, at - 4 - countBytes);
      if (entries > MAX_ENTRIES || entries * 8 > bytes.sizeBytes)
        throw malformed(`a list of ${entries}`, at - countBytes);
      return entries;
    },
    /** Passes an attribute's values, to be read later. */
    values({ sizeBytes, name, read }: ClassicType, elements: number): NetcdfAttribute["values"] {
      const from = at;
      at += padded(elements * sizeBytes);
      if (at > bytes.sizeBytes) throw malformed("it ends early", bytes.sizeBytes);
      if (name === "char")
        return () => [textOfBytes(bytes.read(from, Math.min(elements, MAX_TEXT_BYTES))).replace(/\0+$/, "")];
      return (most) =>
        Array.from({ length: Math.min(elements, most) }, (_, i) => read(bytes.read(from + i * sizeBytes, sizeBytes)));
    },
  };
}
