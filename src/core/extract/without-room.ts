import type { ErrorRecord } from "../errors.ts";
import type { ExtractionId } from "../ids.ts";
import type { Extraction } from "./extraction.ts";

/**
 * Extractions of this process that wait for room, and what they met. It is noted with the extraction as well, but when the
 * database lies on the disk that is full, it may take no note.
 */
export type WithoutRoom = Map<ExtractionId, ErrorRecord>;

/** The extraction as it is shown. */
export function withRoomTold(waiting: ReadonlyMap<ExtractionId, ErrorRecord>, extraction: Extraction): Extraction {
  const met = extraction.status === "waiting" || extraction.status === "extracting" ? waiting.get(extraction.id) : null;
  return met ? { ...extraction, error: met } : extraction;
}
