import { AppError } from "../../errors.ts";
import {
  centralBytes,
  endOfDirectory,
  localBytes,
  MAX_16,
  MAX_32,
  writeCentral,
  writeLocal,
  type ZipMember,
} from "../../zip/headers.ts";
import type { ArchiveFormat, MemberFacts } from "./archive-format.ts";

/**
 * From here on, counted from the first file, the directory has its offsets in 64 bits. Below the 4 GiB where it must, as
 * what lies before the first file, the manifest, is as long as the names that are still to come.
 */
const FAR = 2 ** 31;

/**
 * ZIP with every member stored, whatever it is; CRC-32 and sizes stand before each, and ZIP64 fields only where numbers
 * ask for them, but see {@link FAR}.
 * @param createdAt time of members that have none, epoch milliseconds.
 */
export function zipFormat(createdAt: number): ArchiveFormat {
  const memberOf = (name: string, { crc32, sizeBytes, modifiedAt }: MemberFacts): ZipMember => ({
    name,
    method: "stored",
    crc32,
    sizeBytes,
    compressedBytes: sizeBytes,
    modifiedAt: modifiedAt ?? createdAt,
  });
  return {
    maxLeadBytes: MAX_32 - 1 - FAR,
    headBytes: (name, member) => localBytes(memberOf(fitting(name), member)),
    writeHead(target, from, name, member) {
      writeLocal(target, from, memberOf(name, member));
    },
    paddingBytes: () => 0,
    directoryBytes: (name, member, offset) => centralBytes(memberOf(fitting(name), member), offset >= FAR),
    writeDirectory(target, from, name, member, offset, lead) {
      writeCentral(target, from, memberOf(name, member), lead + offset, offset >= FAR);
    },
    end: endOfDirectory,
  };
}

/** The length of a name has 16 bits (APPNOTE §4.4.10). */
function fitting(name: string): string {
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_16)
    throw new AppError("cart_path_unsafe", {
      path: name.slice(0, 200),
      expected: `at most ${MAX_16} bytes`,
      found: bytes,
    });
  return name;
}
