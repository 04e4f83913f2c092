import { isUtf8 } from "node:buffer";
import { AppError, type Code } from "../../errors.ts";
import type { WholeAnswer } from "../../outbound/fetch-whole.ts";
import { parseExactly } from "../csv/exact-json.ts";
import type { Cell, Field } from "../rows.ts";
import { type CsvInJson, takeCsv } from "./csv-in-json.ts";

/** What `datastore_search` answers, as far as it is used. */
export interface SearchResult {
  readonly fields: readonly Field[];
  /** `null` when the portal does not say, or only guesses. */
  readonly total: number | null;
  /** The limit that was really in force. */
  readonly limit: number | null;
  /** The rows, when they came as text; else they are `records`. */
  readonly csv: CsvInJson | undefined;
  readonly records: readonly (readonly Cell[] | { readonly [key: string]: Cell })[];
  /** Names the paging of portals that do not keep their records in PostgreSQL. */
  readonly backend: string | null;
  readonly nextCursor: Cell;
  readonly after: Cell;
}

const MAX_MESSAGE = 1_000;
const GONE_WRONG_STATUS = 500;
/** Busy, or down for the moment; servers before a portal say so, in words of their own or none (RFC 9110 §15.6, RFC 6585 §4). */
const BUSY_STATUSES = [429, 502, 503, 504];

/** An answer that another try may mend soon: a server error, or JSON that is cut off. */
export function unfit(answer: WholeAnswer): AppError | undefined {
  if (BUSY_STATUSES.includes(answer.status)) return undefined; // was tried again already
  if (answer.status >= GONE_WRONG_STATUS) return refusal(answer);
  if (!isJson(answer) || answer.status !== 200) return undefined;
  return /\}\s*$/.test(answer.body.subarray(-100).toString("utf8"))
    ? undefined
    : refusal(answer, "JSON that is cut off");
}

/** @throws AppError portal_refused, with the portal's own reason; portal_busy. */
export function searchResult(answer: WholeAnswer): SearchResult {
  if (BUSY_STATUSES.includes(answer.status)) throw refusal({ ...answer, code: "portal_busy" });
  if (!isJson(answer)) throw refusal(answer, describe(answer));
  const { document, csv } = parsed(answer);
  const envelope = record(document);
  if (answer.status !== 200 || envelope?.success !== true) throw refusal(answer, messageOf(envelope?.error));
  const result = record(envelope.result);
  if (!result) throw refusal(answer, "an answer without a result");
  const records = csv ? [] : (result.records ?? []);
  if (!Array.isArray(records)) throw refusal(answer, "records of an unknown form");
  return {
    fields: fieldsOf(result.fields, answer),
    total: result.total_was_estimated === true ? null : count(result.total),
    limit: count(result.limit),
    csv,
    records: records as SearchResult["records"],
    backend: typeof result._backend === "string" ? result._backend : null,
    nextCursor: result.next_cursor ?? null,
    after: result.after ?? null,
  };
}

/** Answers with text for records are written over. @throws AppError portal_refused. */
function parsed(answer: WholeAnswer): { readonly document: Cell; readonly csv: CsvInJson | undefined } {
  // What is no UTF-8 is read as JSON's readers do, with U+FFFD in its place.
  const body = isUtf8(answer.body) ? answer.body : Buffer.from(answer.body.toString("utf8"));
  try {
    const csv = takeCsv(body);
    return { csv, document: parseExactly(csv?.envelope ?? body.toString("utf8")) };
  } catch (cause) {
    throw refusal(answer, "what is no JSON", cause);
  }
}

function fieldsOf(fields: Cell | undefined, answer: WholeAnswer): readonly Field[] {
  if (!Array.isArray(fields) || fields.length === 0) throw refusal(answer, "an answer without fields");
  return fields.map((field) => {
    const { id, type } = record(field) ?? {};
    if (typeof id !== "string") throw refusal(answer, "a field without an id");
    return { id, type: typeof type === "string" ? type : "text" };
  });
}

function count(value: Cell | undefined): number | null {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

function record(value: Cell | undefined): { readonly [key: string]: Cell } | undefined {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  return isRecord ? (value as { readonly [key: string]: Cell }) : undefined;
}

/** `{ __type, message }`, or `{ field: [what is wrong] }`; never a page of anything. */
function messageOf(error: Cell | undefined): string {
  const { __type: type, message, ...fields } = record(error) ?? {};
  const parts = [type, message].filter((part) => typeof part === "string");
  for (const [field, faults] of Object.entries(fields))
    parts.push(`${field}: ${Array.isArray(faults) ? faults.map(String).join("; ") : String(faults)}`);
  // Shown to the requester, and kept: PostgreSQL's texts hold no zero.
  const text =
    parts
      .join(", ")
      .replaceAll(/\p{Cc}+/gu, " ")
      .toWellFormed() || "a refusal without a reason";
  return text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}…` : text;
}

function refusal(
  { status, url, body, code = "portal_refused" }: WholeAnswer & { readonly code?: Code },
  found?: string,
  cause?: unknown,
): AppError {
  const portal = new URL(url).origin;
  const what = found ?? (messageOfText(body.subarray(0, 65_536).toString("utf8")) || "no reason given");
  return new AppError(code, { portal, status, found: what }, cause === undefined ? {} : { cause });
}

function messageOfText(text: string): string {
  try {
    return messageOf(record(JSON.parse(text))?.error);
  } catch {
    return "";
  }
}

function isJson({ headers }: WholeAnswer): boolean {
  return /\bjson\b/i.test(headers["content-type"] ?? "json");
}

function describe({ headers }: WholeAnswer): string {
  const type = headers["content-type"] ?? "";
  return /html/i.test(type) ? "a web page (is a login needed?)" : `${type || "something"} instead of JSON`;
}
