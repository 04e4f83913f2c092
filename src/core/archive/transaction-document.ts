import type { ArchivedFile, KeyValue, Transaction } from "../catalogue/catalogue-store.ts";
import { DIGEST_NAMES, type DigestName, type Digests } from "../digest.ts";
import { AppError } from "../errors.ts";
import { fileId, type TransactionId, transactionId } from "../ids.ts";
import { linesOf } from "../streams.ts";

/**
 * The normalised form of a transaction that lies beside its payload: JSON Lines, one `transaction` line, then one `file`
 * line per file in id order. Everything the catalogue knows can be read back from it, ids included.
 * Format: docs/formats/archive.md.
 */
export const TRANSACTION_DOCUMENT = {
  logicalPath: "transaction.jsonl",
  contentPath: "v1/content/transaction.jsonl",
} as const;
const FORMAT = 1;
/** The first line holds every key-value of the transaction; a longer one is no line of ours. */
const MAX_LINE_BYTES = 256 * 1024 * 1024;

/** What a transaction is when it is written down; the rest follows from where it lies. */
export type TransactionHead = Pick<
  Transaction,
  "id" | "submitter" | "project" | "instrument" | "owner" | "createdAt"
> & {
  readonly keyValues: readonly KeyValue[];
};

type FileLine = Omit<ArchivedFile, "transactionId">;

export function* documentLines(head: TransactionHead, files: Iterable<FileLine>): Generator<object> {
  const { createdAt, ...rest } = head;
  yield { type: "transaction", format: FORMAT, ...rest, createdAt: new Date(createdAt).toISOString() };
  for (const file of files) yield { type: "file", ...file };
}

/**
 * Reads a document back: first the head, then the files as they come.
 * @throws AppError object_corrupt, naming the line; what `bytes` throws.
 */
export async function readDocument(
  bytes: AsyncIterable<Uint8Array>,
  where: string,
): Promise<{ readonly head: TransactionHead; readonly files: AsyncIterable<ArchivedFile> }> {
  const lines = parsedLines(bytes, where);
  const first = await lines.next();
  const head = first.done ? undefined : readHead(first.value);
  if (!head)
    throw new AppError("object_corrupt", {
      path: where,
      line: 1,
      expected: `a transaction of format ${FORMAT}`,
      found: first.done ? "nothing" : shown(first.value),
    });
  return { head, files: readFiles(lines, head.id, where) };
}

async function* readFiles(
  lines: AsyncIterable<unknown>,
  transaction: TransactionId,
  where: string,
): AsyncGenerator<ArchivedFile> {
  let line = 1;
  for await (const value of lines) {
    line++;
    const file = readFile(value, transaction);
    if (!file) throw new AppError("object_corrupt", { path: where, line, expected: "a file", found: shown(value) });
    yield file;
  }
}

function readHead(value: unknown): TransactionHead | undefined {
  const line = record(value);
  if (line?.type !== "transaction" || line.format !== FORMAT || !isId(line.id)) return undefined;
  const { submitter, project, instrument, owner } = line;
  const createdAt = Date.parse(String(line.createdAt));
  const keyValues = Array.isArray(line.keyValues) ? line.keyValues.map(readKeyValue) : [undefined];
  if (!isTextOrNull(submitter) || !isTextOrNull(project) || !isTextOrNull(instrument)) return undefined;
  if (typeof owner !== "string" || Number.isNaN(createdAt) || !keyValues.every((one) => one !== undefined))
    return undefined;
  return { id: transactionId(line.id), submitter, project, instrument, owner, createdAt, keyValues };
}

function readKeyValue(value: unknown): KeyValue | undefined {
  const { fileId: id, key, value: text } = record(value) ?? {};
  if (!(id === null || isId(id)) || typeof key !== "string" || typeof text !== "string") return undefined;
  return { fileId: id === null ? null : fileId(id), key, value: text };
}

function readFile(value: unknown, transaction: TransactionId): ArchivedFile | undefined {
  const line = record(value);
  if (line?.type !== "file") return undefined;
  const { id, path, contentPath, sizeBytes, modifiedAt, changedAt, mediaType, digests, crc32 } = line;
  const { algorithm, value: declared } = record(line.declared) ?? {};
  if (!isId(id) || typeof path !== "string" || typeof contentPath !== "string" || typeof mediaType !== "string")
    return undefined;
  if (!isCount(sizeBytes) || !isCount(crc32) || !isTextOrNull(modifiedAt) || !isTextOrNull(changedAt)) return undefined;
  if (!isDigests(digests) || !isDigestName(algorithm) || typeof declared !== "string") return undefined;
  return {
    id: fileId(id),
    transactionId: transaction,
    path,
    contentPath,
    sizeBytes,
    modifiedAt,
    changedAt,
    mediaType,
    digests,
    crc32,
    declared: { algorithm, value: declared },
  };
}

function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isId(value: unknown): value is number {
  return isCount(value) && value > 0;
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}

function isDigestName(value: unknown): value is DigestName {
  return DIGEST_NAMES.some((name) => name === value);
}

function isDigests(value: unknown): value is Digests {
  const digests = record(value);
  return (
    digests !== undefined &&
    Object.entries(digests).every(([name, digest]) => isDigestName(name) && typeof digest === "string")
  );
}

async function* parsedLines(bytes: AsyncIterable<Uint8Array>, where: string): AsyncGenerator<unknown> {
  let number = 0;
  const fault = (found: string, cause: unknown, line?: number) =>
    new AppError(
      "object_corrupt",
      { path: where, ...(line === undefined ? {} : { line }), expected: "JSON", found },
      { cause },
    );
  try {
    for await (const line of linesOf(inLines(bytes))) {
      const value = JSON.parse(line);
      number++;
      yield value;
    }
  } catch (error) {
    if (error instanceof SyntaxError) throw fault("something else", error, number + 1);
    if (error instanceof TypeError && "code" in error && error.code === "ERR_ENCODING_INVALID_ENCODED_DATA")
      throw fault("bytes that are not UTF-8", error);
    if (error instanceof EndlessLine) throw fault(error.message, error, number + 1);
    throw error;
  }
}

class EndlessLine extends Error {}

/** Passes bytes on as long as line ends are among them: a file without any must not fill the memory. */
async function* inLines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let lineBytes = 0;
  for await (const chunk of bytes) {
    const end = chunk.lastIndexOf(0x0a);
    lineBytes = end < 0 ? lineBytes + chunk.length : chunk.length - end - 1;
    if (lineBytes > MAX_LINE_BYTES) throw new EndlessLine(`a line of more than ${MAX_LINE_BYTES} bytes`);
    yield chunk;
  }
}

function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, 100);
}
