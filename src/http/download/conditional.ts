import type { IncomingHttpHeaders } from "node:http";
import { AppError } from "../../core/errors.ts";

/** What a condition is judged against: one representation, strongly identified. */
export interface Validators {
  /** Strong, with its quotes. */
  readonly etag: string;
  /** Epoch milliseconds; `null` when it is not known. */
  readonly modifiedAt: number | null;
}

/**
 * Judges the conditions of a GET or HEAD in the order of RFC 9110 §13.2.2.
 * @returns whether the client's copy is still good, and 304 is the answer. @throws AppError precondition_failed.
 */
export function isNotModified(headers: IncomingHttpHeaders, { etag, modifiedAt }: Validators): boolean {
  const ifMatch = headers["if-match"];
  const unmodifiedSince = httpDate(headers["if-unmodified-since"]);
  if (ifMatch !== undefined) {
    if (!lists(ifMatch, etag, "strong")) throw new AppError("precondition_failed", { found: etag });
  } else if (unmodifiedSince !== undefined && modifiedAt !== null && seconds(modifiedAt) > seconds(unmodifiedSince)) {
    throw new AppError("precondition_failed", { found: new Date(modifiedAt).toUTCString() });
  }
  const ifNoneMatch = headers["if-none-match"];
  if (ifNoneMatch !== undefined) return lists(ifNoneMatch, etag, "weak");
  const modifiedSince = httpDate(headers["if-modified-since"]);
  return modifiedSince !== undefined && modifiedAt !== null && seconds(modifiedAt) <= seconds(modifiedSince);
}

/** RFC 9110 §13.1.5: an entity tag compares strongly, a date must be the very one. */
export function ifRangeHolds(ifRange: string | string[] | undefined, { etag, modifiedAt }: Validators): boolean {
  if (ifRange === undefined) return true;
  if (typeof ifRange !== "string") return false;
  if (ifRange.startsWith('"') || ifRange.startsWith("W/")) return ifRange === etag;
  const date = httpDate(ifRange);
  return date !== undefined && modifiedAt !== null && seconds(date) === seconds(modifiedAt);
}

/** Whether a list of entity tags, or `*`, holds ours (RFC 9110 §8.8.3.2). */
function lists(field: string, etag: string, comparison: "strong" | "weak"): boolean {
  if (field.trim() === "*") return true;
  const tags = field.match(/(?:W\/)?"[^"]*"/g) ?? [];
  return tags.some((tag) => (comparison === "weak" ? tag.replace(/^W\//, "") : tag) === etag);
}

/** Epoch milliseconds of an HTTP date; what is not one counts as absent. */
function httpDate(text: string | undefined): number | undefined {
  const time = Date.parse(text ?? "");
  return Number.isNaN(time) ? undefined : time;
}

const seconds = (epochMs: number) => Math.floor(epochMs / 1000);
