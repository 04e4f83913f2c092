/** What a run printed: its beginning and its end are kept, and of more than that what lies between is left out. */
export interface OutputWriter {
  /** Takes the chunk at the disk's pace. Bytes of a chunk are not used after this resolves. */
  write(chunk: Uint8Array): Promise<void>;
  /** So far, kept or not. */
  readonly bytes: number;
  close(): Promise<void>;
}

/**
 * Outputs of runs.
 *
 * Adapters: `adapters/run/{run-outputs,s3-run-outputs}.ts`. Contract: `test/conformance/run-outputs.ts`.
 */
export interface RunOutputs {
  /** Begins anew: what an earlier try printed is forgotten. @param run as `runMark` names it. */
  create(run: string): Promise<OutputWriter>;
  /**
   * What is kept, also while it is still written, seconds behind. Where something is left out, a line says how many bytes.
   * `undefined` when nothing is kept. Memory: one chunk.
   */
  read(run: string): Promise<AsyncIterable<Uint8Array> | undefined>;
  /** Bytes from the first to the last, kept or not; 0 when nothing is kept. */
  size(run: string): Promise<number>;
  /** The last bytes, as text. */
  tail(run: string, bytes: number): Promise<string>;
  remove(run: string): Promise<void>;
  /** Of a schedule. */
  removeAll(schedule: string): Promise<void>;
}
