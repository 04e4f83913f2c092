/**
 * Room on this machine for files of stores elsewhere, while they are described.
 *
 * Adapter: `adapters/sandbox/scratch-folder.ts`.
 */
export interface Scratch {
  /** An empty folder; what a worker that died left under this name is removed. */
  open(name: string): Promise<ScratchFolder>;
  /** Removes such a folder, if there is one. */
  discard(name: string): Promise<void>;
}

export interface ScratchFolder {
  /**
   * Writes a file that is gone with the next power cut.
   * @returns where it lies, absolute and without links; when it fails, nothing is left of it.
   * @throws AppError storage_full, storage_unavailable; entry_unreadable for more than `mostBytes`; whatever `bytes` throws.
   */
  put(bytes: AsyncIterable<Uint8Array>, mostBytes: number): Promise<ScratchFile>;
  remove(files: readonly ScratchFile[]): Promise<void>;
}

export interface ScratchFile {
  readonly localPath: string;
  readonly sizeBytes: number;
}
