import { type Dataspace, elementsOf, readDataspace } from "./dataspace.ts";
import { type Datatype, readDatatype } from "./datatype.ts";
import type { Fields } from "./fields.ts";
import { MESSAGE, type Message, messageOf } from "./object-header.ts";
import type { Hdf5Source } from "./source.ts";

/** By number, as registered with The HDF Group; others are told by their numbers. */
const FILTERS: Readonly<Record<number, string>> = {
  1: "deflate",
  2: "shuffle",
  3: "fletcher32",
  4: "szip",
  5: "nbit",
  6: "scaleoffset",
  307: "bzip2",
  32000: "lzf",
  32001: "blosc",
  32004: "lz4",
  32008: "bitshuffle",
  32013: "zfp",
  32015: "zstd",
  32026: "blosc2",
};

export interface Filter {
  readonly name: string;
  /** As the filter understands them; for deflate, the level. */
  readonly options: readonly number[];
}

export type Storage = "compact" | "contiguous" | "chunked" | "virtual" | "external";

export interface Dataset extends Dataspace {
  readonly type: Datatype;
  /** Of all its values, uncompressed. */
  readonly sizeBytes: number;
  readonly storage: Storage;
  readonly chunks: readonly number[] | null;
  readonly filters: readonly Filter[];
}

/** `undefined` when the object is no dataset. Its data is not looked at. */
export function readDataset(source: Hdf5Source, messages: readonly Message[]): Dataset | undefined {
  const spaceFields = messageOf(source, messages, MESSAGE.dataspace);
  const typeFields = messageOf(source, messages, MESSAGE.datatype);
  if (spaceFields === undefined || typeFields === undefined) return undefined;
  const space = readDataspace(spaceFields, source.lengthBytes);
  const type = readDatatype(typeFields);
  const layoutFields = messageOf(source, messages, MESSAGE.layout);
  const layout: Layout = layoutFields ? readLayout(source, layoutFields) : { storage: "contiguous", chunks: null };
  const isExternal = messages.some((message) => message.type === MESSAGE.externalFiles);
  const filterFields = messageOf(source, messages, MESSAGE.filters);
  return {
    ...space,
    type,
    sizeBytes: elementsOf(space) * type.sizeBytes,
    storage: isExternal ? "external" : layout.storage,
    chunks: layout.chunks,
    filters: filterFields ? readFilters(filterFields) : [],
  };
}

interface Layout {
  readonly storage: Storage;
  readonly chunks: readonly number[] | null;
}

const LAYOUT_CLASSES: readonly Storage[] = ["compact", "contiguous", "chunked", "virtual"];

/** Data Layout message (the specification, IV.A.2.i). The last of a chunk's dimensions is the size of a value. */
function readLayout({ addressBytes }: Hdf5Source, fields: Fields): Layout {
  const version = fields.u8();
  if (version < 3) {
    const rank = fields.u8();
    const storage = LAYOUT_CLASSES[fields.u8()] ?? "contiguous";
    fields.skip(5);
    if (storage !== "compact") fields.skip(addressBytes);
    return storage === "chunked" ? { storage, chunks: sizes(fields, rank - 1, 4) } : { storage, chunks: null };
  }
  const storage = LAYOUT_CLASSES[fields.u8()] ?? "contiguous";
  if (storage !== "chunked") return { storage, chunks: null };
  if (version > 3) fields.skip(1);
  const rank = fields.u8();
  if (version === 3) return { storage, chunks: sizes(fields.skip(addressBytes), rank - 1, 4) };
  const sizeBytes = fields.u8();
  return { storage, chunks: sizes(fields, rank - 1, sizeBytes) };
}

function sizes(fields: Fields, count: number, sizeBytes: number): readonly number[] {
  return Array.from({ length: Math.max(0, count) }, () => fields.sized(sizeBytes));
}

/** Filter Pipeline message (IV.A.2.l). */
function readFilters(fields: Fields): readonly Filter[] {
  const version = fields.u8();
  const count = fields.u8();
  if (version === 1) fields.skip(6);
  return Array.from({ length: count }, () => {
    const id = fields.u16();
    const nameBytes = version === 1 || id >= 256 ? fields.u16() : 0;
    const values = fields.skip(2).u16();
    const stored = nameBytes > 0 ? fields.part(version === 1 ? Math.ceil(nameBytes / 8) * 8 : nameBytes).text() : "";
    const options = Array.from({ length: values }, () => fields.u32());
    if (version === 1 && values % 2 === 1) fields.skip(4);
    return { name: FILTERS[id] ?? (stored.toWellFormed() || `filter ${id}`), options };
  });
}
