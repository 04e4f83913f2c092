import { malformed } from "../malformed.ts";
import { bytesFor, type Fields } from "./fields.ts";
import type { Hdf5Source } from "./source.ts";

/** Signature, version, type and checksum of a node. */
const NODE_OVERHEAD_BYTES = 10;

interface Level {
  readonly maxRecords: number;
  /** Of a node's records and those below it. */
  readonly maxTotal: number;
}

/** The records of a version 2 B-tree, in its order (the specification, III.A.2). */
export function* recordsOf(source: Hdf5Source, address: number): Generator<Fields, void, undefined> {
  const { addressBytes, lengthBytes } = source;
  const header = source
    .fields(address, 16 + addressBytes + 2 + lengthBytes)
    .expect("BTHD")
    .skip(2);
  const nodeBytes = header.u32();
  const recordBytes = header.u16();
  const depth = header.u16();
  header.skip(2);
  const root = header.sizedOrNone(addressBytes);
  const rootRecords = header.u16();
  if (root === undefined || rootRecords === 0) return;
  if (recordBytes === 0 || depth > 20) throw malformed("a B-tree is impossible", header.offset);

  const leafRecords = Math.floor((nodeBytes - NODE_OVERHEAD_BYTES) / recordBytes);
  const countBytes = bytesFor(leafRecords);
  const levels: Level[] = [{ maxRecords: leafRecords, maxTotal: leafRecords }];
  const pointerBytes = (level: number) =>
    addressBytes + countBytes + (level > 1 ? bytesFor(levels[level - 1]?.maxTotal ?? 0) : 0);
  for (let level = 1; level <= depth; level++) {
    const below = levels[level - 1]?.maxTotal ?? 0;
    const pointer = pointerBytes(level);
    const maxRecords = Math.floor((nodeBytes - NODE_OVERHEAD_BYTES - pointer) / (recordBytes + pointer));
    levels.push({ maxRecords, maxTotal: (maxRecords + 1) * below + maxRecords });
  }

  const visited = new Set<number>();
  yield* node(root, rootRecords, depth);

  function* node(at: number, records: number, level: number): Generator<Fields, void, undefined> {
    if (visited.has(at) || records > (levels[level]?.maxRecords ?? 0)) throw malformed("a B-tree is impossible", at);
    visited.add(at);
    const fields = source
      .fields(at, nodeBytes)
      .expect(level === 0 ? "BTLF" : "BTIN")
      .skip(2);
    const own = Array.from({ length: records }, () => fields.part(recordBytes));
    if (level === 0) {
      yield* own;
      return;
    }
    for (let i = 0; i <= records; i++) {
      const child = fields.sized(addressBytes);
      const childRecords = fields.sized(countBytes);
      fields.skip(pointerBytes(level) - addressBytes - countBytes);
      yield* node(child, childRecords, level - 1);
      const between = own[i];
      if (between) yield between;
    }
  }
}
