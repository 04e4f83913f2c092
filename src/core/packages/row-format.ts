import type { Details } from "../errors.ts";
import type { Field, Page } from "./rows.ts";

/**
 * Formats gather about so much of a member before they write it, characters or bytes: enough that a write costs nothing, and
 * little, as text that is put together of millions of parts is kept as those parts until somebody reads it.
 */
export const PIECE_SIZE = 65_536;

/** A member of the package while it is written. Text becomes UTF-8. */
export interface MemberSink {
  /**
   * A promise only when the sink is behind: await it before the next call. Bytes may be used again once it is kept, or when
   * there is none.
   */
  write(part: string | Uint8Array): Promise<void> | undefined;
}

/** The package while it is written: several members may grow at the same time. */
export interface PackageSink {
  /**
   * Opens a member at its first call, in the order of the ZIP; the same one afterwards. `stored`: it is compressed in
   * itself. A name is flat: no folders.
   */
  member(name: string, options?: { readonly stored?: boolean }): MemberSink;
  /** Takes a member back, as if it had never been. */
  drop(name: string): Promise<void>;
}

/** Turns rows into members of a package: a table, or the files of a Darwin Core Archive. One object for one package. */
export interface RowFormat {
  begin(fields: readonly Field[], sink: PackageSink): Promise<void>;
  page(page: Page, sink: PackageSink): Promise<void>;
  end(sink: PackageSink): Promise<void>;
  /**
   * What another process needs to go on after the last page, JSON-safe. `null`, or absent: it holds more than fits, and the
   * package is begun anew.
   */
  state?(): Details | null;
  /** Instead of `begin`, with what `state` gave. */
  resume?(fields: readonly Field[], state: Details): void;
}
