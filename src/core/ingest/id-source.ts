/**
 * Where job and file ids come from: our own durable sequences, or a Pacifica uniqueid service
 * (`adapters/pacifica/id-source.ts`). `mode` is Pacifica's word for the sequence's name.
 */
export interface IdSource {
  /** Reserves `count` consecutive ids, never handed out before. @returns the first. */
  reserve(mode: "upload_job" | "file", count: number): Promise<number>;
}
