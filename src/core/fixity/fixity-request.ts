import { AppError, type Details } from "../errors.ts";

export const FIXITY_JOB = "fixity";

/** What a run is asked for: the `input` of its job. It ends at the first limit that it meets. */
export interface FixityRequest {
  /** Payload that is read, about: a file that has begun is read to its end. */
  readonly bytes?: number | undefined;
  readonly minutes?: number | undefined;
  /** Leaves alone what was checked in fewer days; the settings' when left out. */
  readonly days?: number | undefined;
  readonly bytesPerSecond?: number | undefined;
  /** Files read at a time. */
  readonly parallel?: number | undefined;
}

/** Highest of each; the least is 1. */
export const REQUEST_LIMITS: Readonly<Record<keyof FixityRequest, number>> = {
  bytes: Number.MAX_SAFE_INTEGER,
  minutes: 525_600,
  days: 36_500,
  bytesPerSecond: Number.MAX_SAFE_INTEGER,
  parallel: 16,
};

/** @throws AppError request_invalid, naming what is not such as a run can be asked for. */
export function fixityRequest(input: Details): FixityRequest {
  for (const [name, value] of Object.entries(input)) {
    const most = Object.hasOwn(REQUEST_LIMITS, name) ? REQUEST_LIMITS[name as keyof FixityRequest] : undefined;
    if (most === undefined)
      throw new AppError("request_invalid", { found: name, expected: Object.keys(REQUEST_LIMITS).join(", ") });
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1 || value > most)
      throw new AppError("request_invalid", {
        name,
        expected: `a whole number from 1 to ${most}`,
        found: String(value),
      });
  }
  return input;
}
