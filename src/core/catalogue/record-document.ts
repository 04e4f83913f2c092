import type { DetailValue } from "../errors.ts";
import type { ExtractionRecord, RecordedFile } from "../extract/extraction.ts";
import type { RecordData } from "../extract/extractor.ts";
import { type TransactionId, transactionId } from "../ids.ts";
import type { ArchivedFile, KeyValue, Transaction } from "./catalogue-store.ts";
import { type Fields, fieldsOfFile, fieldsOfPath, merged } from "./search-documents.ts";
import type { SearchDocument } from "./search-index.ts";

/*
 * What can be found of a record. Records are whatever extractors say, and an extractor of a user's may say a lot: so the
 * number of fields and values is bounded, and what does not fit is left out. The rules are in docs/formats/queries.md.
 */

/** Of a group, so many files can be found by their names. */
const MAX_FILES = 100;
const MAX_FIELDS = 100;
const MAX_VALUES_OF_FIELD = 50;
const MAX_LEAVES = 5_000;
const MAX_DEPTH = 8;
/** Longer texts are found by their words alone. */
const MAX_VALUE_LENGTH = 200;
const MAX_NAME_LENGTH = 100;
const MAX_TEXT_LENGTH = 10_000;
const MAX_PIECE_LENGTH = 500;

/** In lower case: what these mean is said by Longshore, never by a record's data. */
const OWN: ReadonlySet<string> = new Set([
  ...["type", "mediatype", "path", "name", "extension", "size", "files", "modified", "digest", "created"],
  ...["transaction", "project", "instrument", "submitter"],
  ...["extractor", "crawl", "endpoint", "group", "file", "failure"],
]);

/** What extractors call keywords. */
const KEYWORDS: ReadonlySet<string> = new Set(["phrase", "keyword", "keywords"]);

const MEDIA_TYPE = /^[a-z0-9.+-]+\/[a-z0-9.+-]+$/i;
const HEX = /^[0-9a-f]{32,}$/i;

/** A file that a record is about, when it is one of the archive's. */
export interface RecordedArchiveFile {
  readonly file: ArchivedFile;
  readonly transaction: Transaction;
  /** About the file and about its transaction. */
  readonly keyValues: readonly KeyValue[];
}

export interface RecordContext {
  readonly owner: string;
  /** URLs of the crawl's endpoints, in its order. */
  readonly endpoints: readonly string[];
  /** Files of the archive, by the paths that crawls of the archive have for them. */
  readonly archived: ReadonlyMap<string, RecordedArchiveFile>;
}

/** Which transaction a file is of, by its path in the archive: `<transaction>/data/…`; `undefined` for files of other stores. */
export function transactionOfRecorded(
  { endpoint, path }: RecordedFile,
  endpoints: readonly string[],
): TransactionId | undefined {
  const [, number] = (endpoints[endpoint]?.startsWith("archive:") && /^([1-9]\d{0,14})\/./.exec(path)) || [];
  return number === undefined ? undefined : transactionId(Number(number));
}

/** What is said of an archived file is said of its records too, so that one query asks for both. */
export function recordDocument(record: ExtractionRecord, context: RecordContext): SearchDocument {
  const { data, extractor, failure } = record;
  const files = record.files.slice(0, MAX_FILES);
  const leaves = leavesOf(data ?? {});
  const mediaTypes = [data?.mediaType, data?.format].filter(isMediaType).map((type) => type.toLowerCase());
  const [first] = files;
  const more = record.files.length > 1 ? ` and ${record.files.length - 1} more` : "";
  const title = `${first === undefined ? "" : shownPath(first, context)}${more}`;
  return {
    key: `record:${record.extraction}:${record.number}`,
    type: "record",
    owner: context.owner,
    title: `${title} · ${extractor}`,
    text: textOf(leaves),
    fields: merged(
      {
        type: ["record", ...mediaTypes.map((type) => type.split("/", 1)[0] ?? null)],
        mediatype: mediaTypes,
        extractor: [extractor],
        crawl: [record.crawl],
        endpoint: files.map(({ endpoint }) => context.endpoints[endpoint] ?? null),
        group: [record.groupKind],
        failure: [failure?.reason ?? null],
        created: [record.createdAt],
      },
      ...files.map((file) => fieldsOfRecorded(file, context)),
      fieldsOfData(leaves),
    ),
    createdAt: record.createdAt,
  };
}

function fieldsOfRecorded(recorded: RecordedFile, context: RecordContext): Fields {
  const known = archivedFile(recorded, context);
  if (known) {
    // When it was archived is not when it was described.
    const { created: _, type = [], ...fields } = fieldsOfFile(known.file, known.transaction, known.keyValues);
    return { ...fields, type: type.filter((one) => one !== "file"), file: [known.file.id] };
  }
  // Also when the archive does not have it any more: should it come again, this record is found by the transaction's number.
  const transaction = transactionOfRecorded(recorded, context.endpoints) ?? null;
  return merged(fieldsOfPath(recorded.path), { size: [recorded.sizeBytes], transaction: [transaction] });
}

function shownPath(recorded: RecordedFile, context: RecordContext): string {
  return archivedFile(recorded, context)?.file.path.replace(/^data\//, "") ?? recorded.path;
}

function archivedFile(recorded: RecordedFile, { endpoints, archived }: RecordContext): RecordedArchiveFile | undefined {
  return transactionOfRecorded(recorded, endpoints) === undefined ? undefined : archived.get(recorded.path);
}

function isMediaType(value: DetailValue | undefined): value is string {
  return typeof value === "string" && value.length <= MAX_NAME_LENGTH && MEDIA_TYPE.test(value);
}

interface Leaf {
  /** Names from the outside in; lists have none. */
  readonly names: readonly string[];
  readonly value: string | number | boolean;
}

function leavesOf(data: RecordData): readonly Leaf[] {
  const leaves: Leaf[] = [];
  function visit(value: DetailValue, names: readonly string[], depth: number): void {
    if (leaves.length === MAX_LEAVES || depth > MAX_DEPTH || value === null) return;
    if (typeof value !== "object") leaves.push({ names, value });
    else if (isList(value)) for (const one of value) visit(one, names, depth + 1);
    else for (const [name, one] of Object.entries(value)) visit(one, [...names, fieldName(name)], depth + 1);
  }
  visit(data, [], 0);
  return leaves;
}

function isList(value: object): value is readonly DetailValue[] {
  return Array.isArray(value);
}

/** As queries can spell it. */
function fieldName(name: string): string {
  const spelled = name
    .slice(0, MAX_NAME_LENGTH)
    .toWellFormed()
    .replace(/[^\p{L}\p{N}_.-]/gu, "_");
  return /^[\p{L}_]/u.test(spelled) ? spelled : `_${spelled}`;
}

/**
 * Under all its names, joined by dots; and under the last one, where no other value of the record has that. Keywords are
 * keywords, wherever they stand.
 */
function fieldsOfData(leaves: readonly Leaf[]): Fields {
  const full = new Map<string, Set<string | number>>();
  /** The full names that end so. */
  const endings = new Map<string, Set<string>>();
  for (const { names, value } of leaves) {
    if (typeof value === "string" && value.length > MAX_VALUE_LENGTH) continue;
    const joined = names.join(".").slice(0, MAX_NAME_LENGTH);
    const name = OWN.has(joined.toLowerCase()) ? `data.${joined}` : joined;
    const values = full.get(name) ?? new Set();
    if (full.size < MAX_FIELDS) full.set(name, values);
    if (values.size < MAX_VALUES_OF_FIELD) values.add(typeof value === "boolean" ? String(value) : value);
    const last = names.at(-1) ?? "";
    const ending = KEYWORDS.has(last) ? "keywords" : last;
    endings.set(ending, (endings.get(ending) ?? new Set()).add(name));
  }
  const short = [...endings].flatMap(([ending, ofThese]) => {
    const values = [...ofThese].flatMap((name) => [...(full.get(name) ?? [])]);
    if (ending === "keywords") return [{ keywords: values.slice(0, MAX_VALUES_OF_FIELD) }];
    const isOurs = ofThese.size === 1 && !full.has(ending) && !OWN.has(ending.toLowerCase());
    return isOurs ? [{ [ending]: values }] : [];
  });
  return merged(...Array.from(full, ([name, values]) => ({ [name]: [...values] })), ...short);
}

/** The texts of the data; digests are no words. */
function textOf(leaves: readonly Leaf[]): string {
  const pieces = new Set<string>();
  let length = 0;
  for (const { value } of leaves) {
    if (typeof value !== "string" || value === "" || HEX.test(value)) continue;
    const piece = value.slice(0, MAX_PIECE_LENGTH);
    if (pieces.has(piece)) continue;
    length += piece.length;
    if (length > MAX_TEXT_LENGTH) break;
    pieces.add(piece);
  }
  return [...pieces].join(" · ").toWellFormed();
}
