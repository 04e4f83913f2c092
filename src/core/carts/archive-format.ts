import type { ReadyEntry } from "./cart.ts";

/** What a format says of a member beside its name. */
export type MemberFacts = Pick<ReadyEntry, "sizeBytes" | "modifiedAt" | "crc32">;

/**
 * What an archive format puts around its members. Lengths are known without making the bytes, and follow from nothing but
 * the arguments: that is what makes an archive that is never built seekable.
 */
export interface ArchiveFormat {
  /** How far from the start the first file may begin, so that `directoryBytes` need not know it. */
  readonly maxLeadBytes: number;
  /** Length of {@link head}. @throws AppError cart_path_unsafe when the format cannot hold the name. */
  headBytes(name: string, member: MemberFacts): number;
  /** What precedes the member's own bytes. */
  head(name: string, member: MemberFacts): Uint8Array;
  /** How many zeros follow them. */
  paddingBytes(member: MemberFacts): number;
  /** Length of {@link directory}. */
  directoryBytes(name: string, member: MemberFacts, offset: number): number;
  /** The member's record in the directory at the end. Its head lies at `lead` + `offset`. */
  directory(name: string, member: MemberFacts, offset: number, lead: number): Uint8Array;
  /** The last bytes. */
  end(members: number, directoryAt: number, directoryBytes: number): Uint8Array;
}
