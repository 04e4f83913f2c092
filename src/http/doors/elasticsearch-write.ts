import type { DocumentOutcome, DocumentWrite } from "../../core/documents/document.ts";
import type { JsonObject } from "../../core/documents/field-values.ts";
import { isObject } from "../../core/documents/field-values.ts";
import { membersOf } from "../../core/documents/json-object.ts";
import { objectIn } from "./elasticsearch-body.ts";
import { causeOf, elasticStatus, refusal } from "./elasticsearch-error.ts";
import type { Parameters } from "./elasticsearch-search.ts";

const UPDATE_MEMBERS = [
  "doc",
  "upsert",
  "doc_as_upsert",
  // These say what comes back, or what we do anyway.
  "detect_noop",
  "_source",
  "lang",
];

/**
 * The parts of an update. The members of a document that stand under another name than `doc` are taken for it unless the
 * caller is strict: scripts that were written after the mappings of an index send `{"properties": {…}}`.
 * @throws AppError request_invalid.
 */
export function parseUpdate(text: string, strict: boolean): { readonly doc: string; readonly upsert?: string } {
  const body = objectIn(text);
  const members = membersOf(text);
  const name = !strict && body.doc === undefined && isObject(body.properties) ? "properties" : "doc";
  for (const member of Object.keys(body))
    if (member !== name && !UPDATE_MEMBERS.includes(member))
      throw refusal("x_content_parse_exception", `[1:2] [UpdateRequest] unknown field [${member}]`);
  const doc = members.get(name);
  if (doc === undefined || !isObject(body[name]))
    throw refusal("action_request_validation_exception", "Validation Failed: 1: script or doc is missing;");
  if (body.upsert !== undefined && !isObject(body.upsert))
    throw refusal("x_content_parse_exception", "[UpdateRequest] upsert doesn't support values of this type");
  const upsert = body.doc_as_upsert === true ? doc : members.get("upsert");
  return { doc, ...(upsert !== undefined && { upsert }) };
}

/** Whoever names the change that a document was last changed by changes nothing else. @throws AppError request_invalid. */
export function guardOf(given: JsonObject | Parameters): { readonly ifSeqNo?: number } {
  const { if_seq_no: seqNo, if_primary_term: term = 1 } = given;
  for (const name of ["version", "version_type", "pipeline"])
    if (given[name] !== undefined)
      throw refusal("illegal_argument_exception", `unsupported parameter [${name}]: compare with if_seq_no instead`);
  if (seqNo === undefined) return {};
  if (!/^\d{1,15}$/.test(String(seqNo)))
    throw refusal("illegal_argument_exception", `sequence numbers must be non negative. got [${String(seqNo)}].`);
  // There has been one term alone: what was changed in another is none of our documents.
  return { ifSeqNo: Number(term) === 1 ? Number(seqNo) : -1 };
}

/** What became of a write, and the status that says so. */
export function writeAnswer(
  index: string,
  outcome: DocumentOutcome,
): { readonly status: number; readonly body: object } {
  if ("error" in outcome) {
    const { id, error } = outcome;
    return { status: elasticStatus(error), body: { _index: index, _id: id, error: causeOf(error) } };
  }
  const { id, version, seqNo, result } = outcome;
  const status = result === "created" ? 201 : result === "not_found" ? 404 : 200;
  const shards = { total: 1, successful: result === "noop" ? 0 : 1, failed: 0 };
  return {
    status,
    body: { _index: index, _id: id, _version: version, result, _shards: shards, _seq_no: seqNo, _primary_term: 1 },
  };
}

export interface BulkItem {
  readonly op: DocumentWrite["op"];
  readonly index: string;
  readonly write: DocumentWrite;
}

/**
 * Every item of a bulk request, understood before the first is done: a line that names what to do, and a line with the
 * document unless it is to be deleted.
 * @throws AppError request_invalid.
 */
export function parseBulk(text: string, defaultIndex: string | undefined, strict: boolean): readonly BulkItem[] {
  const lines = text.split("\n");
  const items: BulkItem[] = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]?.trim() ?? "";
    if (line === "") continue;
    const action = objectIn(line);
    const [[op, about] = ["", undefined], ...others] = Object.entries(action);
    if (!isOp(op) || !isObject(about) || others.length > 0)
      throw refusal(
        "illegal_argument_exception",
        `Malformed action/metadata line [${at + 1}], expected field [create], [delete], [index] or [update] but found [${op}]`,
      );
    const { _index: index = defaultIndex, _id: given } = about;
    if (typeof index !== "string")
      throw refusal("action_request_validation_exception", "Validation Failed: 1: index is missing;");
    const id = given === undefined || given === null ? undefined : String(given);
    const guard = guardOf(about);
    if (op === "delete" || op === "update") {
      if (id === undefined)
        throw refusal("action_request_validation_exception", "Validation Failed: 1: id is missing;");
      if (op === "delete") {
        items.push({ op, index, write: { op, id, ...guard } });
        continue;
      }
    }
    const document = lines[++at]?.trim() ?? "";
    if (document === "")
      throw refusal("illegal_argument_exception", `Malformed action/metadata line [${at + 1}], expected a document`);
    if (op === "update")
      items.push({ op, index, write: { op, id: id ?? "", ...parseUpdate(document, strict), ...guard } });
    else {
      objectIn(document);
      items.push({ op, index, write: { op, id, source: document, ...guard } });
    }
  }
  if (items.length === 0)
    throw refusal("action_request_validation_exception", "Validation Failed: 1: no requests added;");
  return items;
}

function isOp(text: string): text is DocumentWrite["op"] {
  return text === "index" || text === "create" || text === "update" || text === "delete";
}
