import type { ArchivedFile, KeyValue, Transaction } from "./catalogue-store.ts";
import type { SearchDocument } from "./search-index.ts";

/*
 * What can be found of what the archive holds. The fields are listed in docs/formats/queries.md; key-values are fields under
 * their own names.
 */

export type Fields = Readonly<Record<string, readonly (string | number | null)[]>>;

/** @param keyValues of the transaction; those of its files may be among them. */
export function transactionDocument(transaction: Transaction, keyValues: readonly KeyValue[]): SearchDocument {
  const own = keyValues.filter(({ fileId }) => fileId === null);
  return {
    key: `transaction:${transaction.id}`,
    type: "transaction",
    owner: transaction.owner,
    title: `Transaction ${transaction.id}`,
    text: textOf([transaction.project, transaction.instrument, transaction.submitter], own),
    fields: merged(
      { type: ["transaction"], size: [transaction.sizeBytes], files: [transaction.fileCount] },
      fieldsOfTransaction(transaction),
      fieldsOfKeyValues(own),
    ),
    createdAt: transaction.createdAt,
  };
}

/** @param keyValues about this file and about its transaction: what is said of the whole is said of each part. */
export function fileDocument(
  file: ArchivedFile,
  transaction: Transaction,
  keyValues: readonly KeyValue[],
): SearchDocument {
  const own = keyValues.filter(({ fileId }) => fileId === null || fileId === file.id);
  const path = shownPath(file);
  return {
    key: `file:${file.id}`,
    type: "file",
    owner: transaction.owner,
    title: path,
    text: textOf([path, transaction.project, transaction.instrument, transaction.submitter], own),
    fields: fieldsOfFile(file, transaction, own),
    createdAt: transaction.createdAt,
  };
}

/** @param keyValues about this file and about its transaction. */
export function fieldsOfFile(
  file: ArchivedFile,
  transaction: Transaction,
  keyValues: readonly KeyValue[],
): SearchDocument["fields"] {
  const mediaType = file.mediaType.toLowerCase();
  return merged(
    { type: ["file", mediaType.split("/", 1)[0] ?? null], mediatype: [mediaType] },
    fieldsOfPath(shownPath(file)),
    { size: [file.sizeBytes], modified: [timeOf(file.modifiedAt)], digest: Object.values(file.digests) },
    fieldsOfTransaction(transaction),
    fieldsOfKeyValues(keyValues),
  );
}

function shownPath({ path }: ArchivedFile): string {
  return path.replace(/^data\//, "");
}

export function fieldsOfPath(path: string): Fields {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return { path: [path], name: [name], extension: [/[^.]\.([^.]+)$/.exec(name)?.[1] ?? null] };
}

function fieldsOfTransaction({ id, project, instrument, submitter, createdAt }: Transaction): Fields {
  return {
    transaction: [id],
    project: [project],
    instrument: [instrument],
    submitter: [submitter],
    created: [createdAt],
  };
}

/** Depositors write numbers as text; as numbers they can be compared, and are found as the text that they were too. */
function fieldsOfKeyValues(keyValues: readonly KeyValue[]): Fields {
  return merged(
    ...keyValues.map(({ key, value }) => {
      const number = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value) ? Number(value) : Number.NaN;
      if (!Number.isFinite(number)) return { [key]: [value] };
      return { [key]: String(number) === value ? [number] : [value, number] };
    }),
  );
}

/** Values of the same field one behind the other, each once; fields without a value are left out. */
export function merged(...all: readonly Fields[]): SearchDocument["fields"] {
  const fields = new Map<string, Set<string | number>>();
  for (const [field, values] of all.flatMap(Object.entries<Fields[string]>)) {
    const known = fields.get(field) ?? new Set();
    for (const value of values) if (value !== null && value !== "") known.add(value);
    if (known.size > 0) fields.set(field, known);
  }
  return Object.fromEntries(Array.from(fields, ([field, values]) => [field, [...values]]));
}

function textOf(values: readonly (string | null)[], keyValues: readonly KeyValue[]): string {
  const texts = [...values.filter((value) => value !== null), ...keyValues.map(({ value }) => value)];
  return texts.filter((text) => text !== "").join(" · ");
}

/** `null` for what could not be read as a time when it was deposited. */
function timeOf(iso: string | null): number | null {
  const time = iso === null ? Number.NaN : Date.parse(iso);
  return Number.isNaN(time) ? null : time;
}
