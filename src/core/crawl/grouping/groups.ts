import type { Details } from "../../errors.ts";
import type { SourceEntry } from "../source.ts";

/** Files that one extraction looks at together; indexes into the folder's files. */
export interface Group {
  readonly files: readonly number[];
  /** Why they belong together: the grouper's own word (`vasp`, `sequence`, an extension, …). */
  readonly kind: string;
  /** What their names say together: the frames of a sequence, the values of a pattern's named groups. */
  readonly details?: Details;
}

/**
 * Proposes groups over the files of one folder: the same ones each time. A file may be in several groups, and every file is in
 * at least one. One that takes long lets others have the event loop in between.
 * @throws AppError request_invalid for a pattern that asks for too much.
 */
export type Grouper = (files: readonly SourceEntry[]) => readonly Group[] | Promise<readonly Group[]>;

export const GROUPER_NAMES = ["file_is_group", "extension", "directory", "matio", "stem", "sequence", "regex"] as const;
export type GrouperName = (typeof GROUPER_NAMES)[number];

/** Groups that share files, directly or by way of others: they travel together, each file once. */
export interface Family {
  readonly groups: readonly number[];
  readonly files: readonly number[];
  readonly sizeBytes: number;
}
