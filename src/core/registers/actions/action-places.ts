import type { Target } from "../../crawl/target.ts";

/** A folder of this machine that files are delivered into, and commands work in. */
export interface WorkFolder {
  /** Absolute. */
  readonly path: string;
  readonly target: Target;
  /** `undefined` where that cannot be known. */
  freeBytes(): Promise<number | undefined>;
  /** An empty folder below it, for what is being made; absolute. One that is there is emptied. */
  workshop(name: string): Promise<string>;
  /** Gives a file of the workshop its place, durably. @returns false when something is there already. */
  place(from: string, path: string): Promise<boolean>;
  /** Removes the workshop with what is in it. */
  clear(name: string): Promise<void>;
}

/** One file of a folder that is to be ingested. */
export interface FoundFile {
  /** Below the folder. */
  readonly path: string;
  /** As moves are told it. */
  readonly source: string;
}

/** A folder of this machine whose files are taken into the archive. */
export interface SourceFolder {
  /**
   * All files below it.
   * @throws AppError source_missing; action_failed when there is something that is no file, or cannot be read.
   */
  files(signal: AbortSignal): Promise<readonly FoundFile[]>;
  /** Removes folders that are empty, and the folder itself when it is. */
  prune(): Promise<void>;
}

/**
 * Where actions of registers may work, as the settings say.
 *
 * Adapter: `adapters/registers/action-places.ts`.
 */
export interface ActionPlaces {
  /** @param path below the first of LONGSHORE_RECORD_ROOTS, or absolute and below one of them. @throws AppError endpoint_refused. */
  work(path: string): Promise<WorkFolder>;
  /** @param path below the first of LONGSHORE_MOVE_ROOTS, or absolute and below one of them. @throws AppError source_outside_roots. */
  source(path: string): Promise<SourceFolder>;
  /** Whether a program of this name is on this machine. */
  hasProgram(name: string): Promise<boolean>;
}
