import type { ReadyEntry } from "../cart.ts";

/** What a format says of a member beside its name. */
export type MemberFacts = Pick<ReadyEntry, "sizeBytes" | "modifiedAt" | "crc32">;

/**
 * What an archive format puts around its members. Lengths are known without making the bytes, and follow from nothing but
 * the arguments: that is what makes an archive that is never built seekable. What writes fills exactly the length told, of
 * memory that may hold anything before.
 */
export interface ArchiveFormat {
  /** How far from the start the first file may begin, so that `directoryBytes` need not know it. */
  readonly maxLeadBytes: number;
  /** Length of what precedes the member's own bytes. @throws AppError cart_path_unsafe when the name is too long. */
  headBytes(name: string, member: MemberFacts): number;
  writeHead(target: Buffer, at: number, name: string, member: MemberFacts): void;
  /** How many zeros follow the member's own bytes. */
  paddingBytes(member: MemberFacts): number;
  /** Length of the member's record in the directory at the end; `offset` as in `writeDirectory`. */
  directoryBytes(name: string, member: MemberFacts, offset: number): number;
  /** The member's head lies at `lead` + `offset`. */
  writeDirectory(target: Buffer, at: number, name: string, member: MemberFacts, offset: number, lead: number): void;
  /** The last bytes. */
  end(members: number, directoryAt: number, directoryBytes: number): Uint8Array;
}
