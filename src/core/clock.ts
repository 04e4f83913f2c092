/** Time as a collaborator, so that tests can move it. `core` never reads the wall clock itself. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Resolves after `ms`, or at once when `signal` aborts: it never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** ISO 8601 in UTC, as it goes over the wire. */
export function isoTime(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
