import { type ExactBytes, exactBytes } from "../exact-bytes.ts";
import type { LocalBytes } from "../local-bytes.ts";
import { malformed } from "../malformed.ts";
import { Fields } from "./fields.ts";

const SIGNATURE = Buffer.from("\x89HDF\r\n\x1a\n", "latin1");

/** An HDF5 file's structures, by their addresses. "The specification" is always the HDF5 File Format Specification 3.0. */
export interface Hdf5Source {
  readonly superblockVersion: number;
  /** Of what is not HDF5, before it. */
  readonly userBlockBytes: number;
  /** Sizes of the fields that hold addresses, and lengths. */
  readonly addressBytes: number;
  readonly lengthBytes: number;
  /** Of its object header. */
  readonly rootAddress: number;
  /** Of the object header that holds what the superblock has no place for. */
  readonly extensionAddress: number | undefined;
  /** What is missing of the file's own idea of its length. */
  readonly missingBytes: number;
  /** @throws AppError content_malformed where the file ends before them. */
  fields(address: number, length: number): Fields;
  /** As {@link fields}, or fewer where the file ends: for structures whose first fields tell their length. */
  fieldsUpTo(address: number, length: number): Fields;
}

/** @throws AppError content_malformed when it has no superblock. */
export function openHdf5(local: LocalBytes): Hdf5Source {
  const bytes = exactBytes(local);
  const at = superblockAt(bytes);
  if (at === undefined) throw malformed("it has no HDF5 signature");
  const head = new Fields(bytes.read(at, Math.min(128, bytes.sizeBytes - at)), at).skip(8);
  const { endAddress, ...superblock } = readSuperblock(head, at);
  return {
    ...superblock,
    userBlockBytes: at,
    missingBytes: Math.max(0, endAddress - bytes.sizeBytes),
    fields: (address, length) => new Fields(bytes.read(at + address, length), at + address),
    fieldsUpTo(address, length) {
      const start = at + address;
      return new Fields(bytes.read(start, Math.max(0, Math.min(length, bytes.sizeBytes - start))), start);
    },
  };
}

/** At 0, or at 512 and its doubles, behind whatever a user has put before it (II.A). */
function superblockAt(bytes: ExactBytes): number | undefined {
  for (let at = 0; at + 64 <= bytes.sizeBytes; at = at === 0 ? 512 : at * 2)
    if (bytes.read(at, SIGNATURE.length).equals(SIGNATURE)) return at;
  return undefined;
}

/** Format of a superblock (II.A). Version 1 differs from 0, and 3 from 2, in nothing that is read here. */
function readSuperblock(head: Fields, at: number) {
  const superblockVersion = head.u8();
  if (superblockVersion > 3) throw malformed(`superblock version ${superblockVersion} is not known`, at);
  const isOld = superblockVersion < 2;
  if (isOld) head.skip(4);
  const addressBytes = fieldSize(head);
  const lengthBytes = fieldSize(head);
  if (isOld) head.skip(superblockVersion === 0 ? 9 : 13);
  else head.skip(1);
  // Addresses count from the superblock, whatever it says itself: a user block may have been put before it later.
  const saidBase = head.sized(addressBytes);
  const extensionAddress = head.sizedOrNone(addressBytes);
  const endAddress = head.sized(addressBytes) - saidBase + at;
  // In a symbol table entry, behind the address of driver information and the offset of its name.
  if (isOld) head.skip(2 * addressBytes);
  const rootAddress = head.sized(addressBytes);
  return {
    superblockVersion,
    addressBytes,
    lengthBytes,
    endAddress,
    rootAddress,
    // The old ones have the address of free space there.
    extensionAddress: isOld ? undefined : extensionAddress,
  };
}

function fieldSize(head: Fields): number {
  const size = head.u8();
  if (size !== 2 && size !== 4 && size !== 8) throw malformed(`fields of ${size} bytes are not known`, head.offset);
  return size;
}
