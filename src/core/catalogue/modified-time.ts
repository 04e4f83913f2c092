import type { ArchivedFile } from "./catalogue-store.ts";

/** Everything else was not readable as a time when it was archived, whatever `Date` would make of it. */
const TIME = /^([+-]\d\d)?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Epoch milliseconds; `null` when the depositor's text was no time. */
export function modifiedMs({ modifiedAt }: Pick<ArchivedFile, "modifiedAt">): number | null {
  return modifiedAt !== null && TIME.test(modifiedAt) ? Date.parse(modifiedAt) : null;
}
