import type { SequenceStore } from "../catalogue/catalogue-store.ts";

/**
 * Where job and file ids come from: our own durable sequences, or a Pacifica uniqueid service
 * (`adapters/pacifica/id-source.ts`). `mode` is Pacifica's word for the sequence's name: Longshore itself takes `upload_job`
 * and `file`, Pacifica services that take theirs from Longshore may name others.
 */
export interface IdSource {
  /** Reserves `count` consecutive ids, never handed out before. @returns the first. */
  reserve(mode: string, count: number): Promise<number>;
}

/** Our own ids: a durable sequence for each mode, named like it. */
export function sequenceIdSource(sequences: SequenceStore): IdSource {
  return { reserve: (mode, count) => sequences.reserve(mode, count) };
}
