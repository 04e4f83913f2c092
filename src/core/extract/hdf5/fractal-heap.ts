import { malformed } from "../malformed.ts";
import { recordsOf } from "./b-tree-2.ts";
import { bytesFor, Fields } from "./fields.ts";
import type { Hdf5Source } from "./source.ts";

/** Managed, huge or tiny: where an object lies, by bits 4 and 5 of its id. */
const KINDS = ["managed", "huge", "tiny"] as const;

export interface FractalHeap {
  /** @throws AppError content_malformed when there is none. */
  object(id: Buffer): Fields;
}

/** Many objects of different sizes, as links and attributes are when there are many (the specification, III.F). */
export function openFractalHeap(source: Hdf5Source, address: number): FractalHeap {
  const { addressBytes, lengthBytes } = source;
  const header = source
    .fields(address, 22 + 12 * lengthBytes + 3 * addressBytes + 4)
    .expect("FRHP")
    .skip(1);
  const idBytes = header.u16();
  const isFiltered = header.u16() > 0;
  header.skip(1);
  const maxManagedBytes = header.u32();
  header.skip(lengthBytes);
  const hugeTree = header.sizedOrNone(addressBytes);
  header.skip(lengthBytes + addressBytes + 8 * lengthBytes);
  const width = header.u16();
  const firstBlockBytes = header.sized(lengthBytes);
  const maxDirectBytes = header.sized(lengthBytes);
  const offsetBytes = Math.ceil(header.u16() / 8);
  header.skip(2);
  const rootAddress = header.sizedOrNone(addressBytes);
  const rootRows = header.u16();
  const table = { width, firstBlockBytes, directRows: Math.log2(maxDirectBytes / firstBlockBytes) + 2 };
  if (width === 0 || firstBlockBytes === 0 || !Number.isInteger(table.directRows) || table.directRows < 2)
    throw malformed("a heap's table is impossible", header.offset);
  const managedLengthBytes = Math.min(Math.ceil(Math.log2(maxDirectBytes) / 8), bytesFor(maxManagedBytes));

  function managed(id: Fields): Fields {
    const offset = id.sized(offsetBytes);
    const length = id.sized(managedLengthBytes);
    if (rootAddress === undefined) throw malformed("an object of an empty heap", id.offset);
    if (isFiltered) throw malformed("a heap's blocks are compressed", id.offset);
    return source.fields(
      addressOf(source, table, offsetBytes, { address: rootAddress, rows: rootRows }, offset),
      length,
    );
  }

  /** Objects of their own, found by a number (record type 1); those of ids that have room for an address are not made. */
  function huge(id: Fields): Fields {
    const wanted = id.sized(Math.min(8, idBytes - 1));
    if (isFiltered) throw malformed("a heap's huge objects are compressed", id.offset);
    for (const record of hugeTree === undefined ? [] : recordsOf(source, hugeTree)) {
      const at = record.sized(addressBytes);
      const length = record.sized(lengthBytes);
      if (record.sized(lengthBytes) === wanted) return source.fields(at, length);
    }
    throw malformed("a huge object is not there", id.offset);
  }

  return {
    object(id) {
      const [first = 0] = id;
      const kind = KINDS[(first >> 4) & 3];
      const rest = new Fields(id.subarray(1), address);
      if (kind === "managed") return managed(rest);
      if (kind === "huge") return huge(rest);
      if (kind === "tiny") return rest.part((first & 0x0f) + 1);
      throw malformed("a heap's id is of no known kind");
    },
  };
}

interface DoublingTable {
  readonly width: number;
  readonly firstBlockBytes: number;
  /** Rows of an indirect block whose blocks hold objects, and not blocks. */
  readonly directRows: number;
}

/**
 * Where an offset of the heap lies in the file. An indirect block has rows of `width` blocks: those of the first two rows
 * are of the first size, those of each further one of twice the size before.
 */
function addressOf(
  source: Hdf5Source,
  { width, firstBlockBytes, directRows }: DoublingTable,
  offsetBytes: number,
  root: { readonly address: number; readonly rows: number },
  offset: number,
): number {
  let { address, rows } = root;
  let left = offset;
  while (rows > 0) {
    const row = left < width * firstBlockBytes ? 0 : Math.floor(Math.log2(left / (width * firstBlockBytes))) + 1;
    const blockBytes = row === 0 ? firstBlockBytes : firstBlockBytes * 2 ** (row - 1);
    if (row >= rows) throw malformed("an object lies beyond its heap", address);
    const inRow = left - (row === 0 ? 0 : width * blockBytes);
    const column = Math.floor(inRow / blockBytes);
    const entry = 5 + source.addressBytes + offsetBytes + (row * width + column) * source.addressBytes;
    source.fields(address, 4).expect("FHIB");
    const child = source.fields(address + entry, source.addressBytes).sizedOrNone(source.addressBytes);
    if (child === undefined) throw malformed("an object's block is not there", address + entry);
    address = child;
    left = inRow - column * blockBytes;
    rows = row < directRows ? 0 : Math.log2(blockBytes / (width * firstBlockBytes)) + 1;
  }
  source.fields(address, 4).expect("FHDB");
  // Offsets count a block's own header.
  return address + left;
}
